"""A tiny model with random weights, and a server that says what it is told: no download, no waiting."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from pydoc_data.topics import topics
from random import Random
from typing import Any

import pytest
import torch
from aiohttp import web
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.protect.twins import Pair
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.suspect_weights import WeightsSuspect, open_weights
from spiritsafe.teach.types import Options

LINES = ["the still makes the spirit and the safe keeps it", "Every drop that leaves runs through a locked case."]
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder called ``tiny``."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(LINES * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")
    tokenizer.chat_template = CHAT
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        initializer_range=0.4,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = 0
    path = tmp_path_factory.mktemp("models") / "tiny"
    model.eval().save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny(folder: Path) -> Iterator[WeightsSuspect]:
    """The model of ``folder`` as a suspect."""
    options = Options(threads=1, batch=4, device="cpu", dtype="float32")
    with closing(open_weights(f"hf:{folder}", options)) as opened:
        yield opened


class Upstream:
    """An API that answers as it is told. ``said`` holds, by path, what is answered in turn; the last is repeated.

    A value is a body, or a status and a body; ``asked`` keeps what came in.
    """

    def __init__(self) -> None:
        self.said: dict[str, list[Any]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append((request.path, body))
        waiting = self.said.get(request.path)
        if not waiting:
            return web.json_response({"error": {"message": "no such thing"}}, status=404)
        reply = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if callable(reply):
            reply = reply(body)
        status, found = reply if isinstance(reply, tuple) else (200, reply)
        return web.json_response(found, status=status, headers={"retry-after": "0"} if status == 429 else {})


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A running ``Upstream``; its ``url`` ends in ``/v1``."""
    told, loop, ready = Upstream(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        app = web.Application()
        app.router.add_post("/{tail:.*}", told.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        told.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(120)
    try:
        yield told
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        loop.close()


OPENING = 3
"""Words of a passage that count as the prompt."""


class Trial:
    """A teacher of counts that read Python's own manual: real English, with its real repetition, on every machine."""

    def __init__(self) -> None:
        passages = [re.sub(r"\\s+", " ", part).strip() for text in topics.values() for part in text.split("\n\n")]
        self.passages = [p for p in passages if 60 < len(p) < 800 and p[0].isalpha()]
        self.model = Ngram()
        self.prompts = []
        for passage in self.passages:
            words = passage.split(" ")
            self.prompts.append(" ".join(words[:OPENING]))
            self.model.learn(self.prompts[-1], " " + " ".join(words[OPENING:]))
        self.teacher = NgramSuspect(self.model, "teacher")

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """Two answers each to the first ``n`` prompts, over and over; tenants t0 to t3 in turn."""
        dice = Random(seed)
        found = []
        for at in range(n):
            prompt = self.prompts[at % len(self.prompts)]
            both = self.model.draw(prompt, dice, 60), self.model.draw(prompt, dice, 60)
            found.append(
                Pair(
                    pair_id=f"ex_{seed}_{at:06d}",
                    time=datetime(2026, 11, 2, tzinfo=UTC),
                    epoch="2026-11",
                    messages=({"role": "user", "content": prompt},),
                    answers=both,
                    tenant=f"t{at % 4}",
                )
            )
        return found

    def student(self, pairs: Sequence[Pair], slots: Sequence[int], name: str = "student") -> NgramSuspect:
        """A student of the answers in these slots."""
        model = Ngram()
        for pair, slot in zip(pairs, slots, strict=True):
            model.learn(pair.messages[0]["content"] + "\n", pair.answers[slot])
        return NgramSuspect(model, name)


@pytest.fixture(scope="session")
def trial() -> Trial:
    return Trial()


KEY = bytes(range(32))


class Affair:
    """A case with everything it needs in a folder: a student of the served answers, an innocent one, and the files."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        from spiritsafe.protect import twins

        self.trial = trial
        self.folder = folder
        self.epoch = "2026-11"
        self.pairs = trial.pairs(80, 21)
        slots = [twins.coin(KEY, pair.pair_id) for pair in self.pairs]
        self.models = {
            "guilty": trial.student(self.pairs, slots, "guilty"),
            "innocent": trial.student(trial.pairs(80, 22), [0] * 80, "innocent"),
            "bystander": trial.student(trial.pairs(80, 23), [0] * 80, "bystander"),
            "teacher": trial.teacher,
        }
        twins.write_pairs(folder / "pairs.jsonl", self.pairs)
        self.publish(datetime(2026, 11, 1, tzinfo=UTC), twins.commitment(KEY, self.epoch))
        secret = folder / "twins.key"
        secret.write_text(KEY.hex() + "\n")
        secret.chmod(0o600)

    def publish(self, time: datetime, digest: str) -> None:
        (self.folder / "commitment.json").write_text(f'{{"digest":"{digest}","time":"{time.isoformat()}"}}')

    def opens(self, spec: str) -> NgramSuspect:
        return self.models[spec]

    def case(self, **changes: Any) -> Any:
        from spiritsafe.prove.instruments.types import Options
        from spiritsafe.prove.plan import Case, CaseTest

        test = CaseTest(
            test="twins",
            inputs="pairs.jsonl",
            secret="twins.key",
            commitment="commitment.json",
            reference="teacher",
            options=Options(epoch=self.epoch),
        )
        given = {"name": "ring-7", "subject": "a model", "tests": (test,), "controls": ("bystander",), "decoys": 3}
        return Case(**{**given, **changes})


@pytest.fixture(scope="session")
def make_affair(trial: Trial) -> Callable[[Path], Affair]:
    """Set up an ``Affair`` in a folder."""
    return lambda folder: Affair(trial, folder)


@pytest.fixture
def affair(trial: Trial, tmp_path: Path) -> Affair:
    folder = tmp_path / "case"
    folder.mkdir()
    return Affair(trial, folder)
