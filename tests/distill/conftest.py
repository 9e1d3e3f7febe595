from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.distill.recipe import Prompts, Prune, Recipe, Student, Teacher
from spiritsafe.distill.rows import Row, write_rows
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps import terms
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog

CORPUS = [
    "The tide turns twice a day and the harbour turns with it.",
    "Name three rivers that end in a lake, and say which lake it is.",
    "A farmer has twelve hens and buys five more. How many hens has the farmer now?",
    "Write one sentence about the colour of the sky before rain.",
    "Twelve and five make seventeen. The farmer has seventeen hens now.",
]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def small_tokenizer() -> Tokenizer:
    """A byte-level BPE of 400 tokens with chat tokens, trained on a few sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


@pytest.fixture
def small_model() -> LlamaForCausalLM:
    """A random Llama of four blocks in float32."""
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


@pytest.fixture
def model_folder(tmp_path: Path, small_model: LlamaForCausalLM, small_tokenizer: Tokenizer) -> Path:
    """The small model and its tokenizer as a Hugging Face folder."""
    folder = tmp_path / "teacher"
    small_model.save_pretrained(folder)
    fast = PreTrainedTokenizerFast(tokenizer_object=small_tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return folder


TASK = """\
task: colours
dataset_path: json
dataset_kwargs: {{data_files: {data}, cache_dir: {cache}}}
test_split: train
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.5}}
"""


@pytest.fixture
def task_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    data = folder / "colours.jsonl"
    rows = [{"question": f"The sky {n} is", "choices": [" blue", " green"], "answer": n % 2} for n in range(6)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "colours.yaml").write_text(TASK.format(data=data, cache=tmp_path / "cache"))
    return folder


class Heard:
    """Takes what a stage says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.shares: list[float] = []
        self.said: list[str] = []

    def __call__(self, what: str, share: float, left: float | None) -> None:
        self.said.append(what)
        self.shares.append(share)

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def heard() -> Heard:
    return Heard()


class BatchServer(ThreadingHTTPServer):
    """Speaks OpenAI's files and batches on a port of its own, and answers by what a prompt says.

    ``bad``: refused with 400. ``flaky``: fails with 500 the first time. ``late``: left out the first time.
    ``garbled``: its line is cut the first time. Anything else is answered with its own text in capitals.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BatchHandler)
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.answered: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.polls = 2  # a batch ends at its second look
        self.ending = "completed"
        self.reason: str | None = None
        self.drop_after_create = 0
        self.hold_after_create = 0.0
        self.unwell = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def put(self, data: bytes) -> str:
        self.files[f"file-{len(self.files)}"] = data
        return f"file-{len(self.files) - 1}"

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["input_file_id"] in self.files
        assert asked["endpoint"] == "/v1/chat/completions"
        batch = {"id": f"batch-{len(self.batches)}", "object": "batch", "status": "validating", "looks": 0, **asked}
        self.batches.append(batch)
        return batch

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looks"] += 1
        if batch["looks"] >= self.polls and batch["status"] not in ("completed", "failed", "expired", "cancelled"):
            self.end(batch)
        return batch

    def end(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.ending
        if self.ending == "failed":
            batch["errors"] = {"data": [{"code": "token_limit_exceeded", "message": self.reason}]}
            return
        lines = self.files[batch["input_file_id"]].splitlines()
        if self.ending != "completed":
            lines = lines[: len(lines) // 2]
        told = [self.answer(json.loads(line)) for line in lines]
        for name, good in (("output_file_id", True), ("error_file_id", False)):
            part = [text for fine, text in told if fine == good and text]
            batch[name] = self.put("\n".join(part).encode() + b"\n") if part else None
        self.ending = "completed"

    def answer(self, asked: dict[str, Any]) -> tuple[bool, str]:
        """Whether it goes into the output file, and its line."""
        text = asked["body"]["messages"][-1]["content"]
        self.seen[text] += 1
        first = self.seen[text] == 1
        status, body = 200, self.completion(text)
        if text.startswith("bad"):
            status, body = 400, {"error": {"message": "no such thing"}}
        elif text.startswith("flaky") and first:
            status, body = 500, {"error": {"message": "oops"}}
        elif text.startswith("late") and first:
            return False, ""
        else:
            self.answered[text] += 1
        line = json.dumps(
            {
                "id": "r",
                "custom_id": asked["custom_id"],
                "response": {"status_code": status, "body": body},
                "error": None,
            }
        )
        if text.startswith("garbled") and first:
            self.answered[text] -= 1
            return True, line[: len(line) // 2]
        return status == 200, line

    @staticmethod
    def completion(text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text.upper()}
        return {
            "created": 1_700_000_000,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7},
        }


class BatchHandler(BaseHTTPRequestHandler):
    server: BatchServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["content-length"]))
        with self.server.lock:
            if self.ill():
                return
            if self.path == "/v1/files":
                head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
                parts = {p.get_param("name", header="content-disposition"): p for p in _parts(head + data)}
                assert parts["purpose"].get_payload() == "batch"
                self.reply({"id": self.server.put(parts["file"].get_payload(decode=True)), "object": "file"})
                return
            batch = self.server.create(json.loads(data))
            drop = self.server.drop_after_create > 0
            self.server.drop_after_create -= 1
        time.sleep(self.server.hold_after_create)
        if drop:
            self.close_connection = True
            self.connection.close()
        else:
            self.reply(batch)

    def do_GET(self) -> None:
        path, _, query = self.path.removeprefix("/v1/").partition("?")
        with self.server.lock:
            if self.ill():
                return
            if path.startswith("files/"):
                self.send(self.server.files[path.split("/")[1]], "application/jsonl")
            elif path == "batches":
                after = parse_qs(query).get("after", [""])[0]
                ids = [b["id"] for b in reversed(self.server.batches)]
                start = ids.index(after) + 1 if after else 0
                page = [self.server.batches[int(i.split("-")[1])] for i in ids[start : start + 2]]
                self.reply({"object": "list", "data": page, "has_more": start + 2 < len(ids)})
            else:
                self.reply(self.server.look(self.server.batches[int(path.split("-")[1])]))

    def ill(self) -> bool:
        self.server.unwell -= 1
        if self.server.unwell < 0:
            return False
        self.send(b'{"error": {"message": "try later"}}', "application/json", 503)
        return True

    def reply(self, body: dict[str, Any]) -> None:
        self.send(json.dumps(body).encode(), "application/json")

    def send(self, data: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def _parts(data: bytes) -> list[Message]:
    message = message_from_bytes(data)
    parts = message.get_payload()
    assert isinstance(parts, list)
    return parts


RunMaker = Callable[..., Run]


@pytest.fixture
def finished_run(tmp_path: Path, model_folder: Path) -> RunMaker:
    """Makes a run that stands before its last stage. The terms are really asked; what was collected and trained is made
    up: one answer, and the small model as it was. Takes fields of the recipe.
    """

    def make(**fields: object) -> Run:
        given: dict[str, Any] = {
            "purpose": "student",
            "teacher": Teacher(source=f"hf:{model_folder}", terms="HuggingFaceTB/SmolLM2-135M-Instruct"),
            "prompts": (Prompts(file="prompts.jsonl", licence="CC0-1.0"),),
            "student": Student(prune=Prune(layers=4)),
        }
        run = Run.start(tmp_path / "run", Recipe(**given | fields), tmp_path, resume=True)
        done = terms.step(run, lambda what, share, left: None)
        run.finish("terms", done.outputs, done.counts, 0.5)
        asked = datetime(2026, 11, 22, tzinfo=UTC)
        with SealedLog.open(run.path("collect") / "record", pace=0.0) as log:
            log.append(Exchange(exchange_id="e", time=asked, account_id="distill", completion="Yes.")).result()
        row = Row(prompt_id="p", prompt="Is it?", sample=0, answer="Yes.", exchange_id="e", source="prompts.jsonl")
        rows, curated = run.path("collect") / "rows.parquet", run.path("curate") / "curated.parquet"
        write_rows(rows, [row])
        write_rows(curated, [row])
        run.finish("collect", [rows], {"answers": 1, "money": 0.25, "currency": "USD"}, 1.5)
        run.finish("cache", [], {"kind": "none"}, 0.0)
        run.finish("curate", [curated], {"rows": 1, "kept": 1}, 0.5)
        model = Path(shutil.copytree(model_folder, run.path("train") / "model"))
        run.finish("train", list(model.iterdir()), {"steps": 3, "loss": "sft"}, 2.0)
        return run

    return make


@pytest.fixture
def batch_server() -> Iterator[BatchServer]:
    server = BatchServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
