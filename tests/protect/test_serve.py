from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import Keyring
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.marker import KeyMarker
from spiritsafe.protect.marks.registry import EXAMPLES, mark
from spiritsafe.protect.serve import main, marker
from spiritsafe.protect.tracing import TracingMarker

NAME = "kgw-k1-g0.25-d4"


def letters() -> list[str]:
    """The letter by which byte-level tokenizers write each byte: itself if it can be seen, else one beyond them."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in seen else chr(next(hidden)) for byte in range(256)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: random weights, and each byte is the token of its number."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    backend = Tokenizer(models.BPE(vocab={letter: byte for byte, letter in enumerate(letters())}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=backend).save_pretrained(path)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_mark_has_its_marker_once_it_is_committed(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key was committed"):
        marker(tmp_path, name)
    Keyring(tmp_path).commit(name)
    found = marker(tmp_path, name)
    assert found.mark_id == f"{name}@1"
    assert isinstance(found, TracingMarker if name.startswith("traced") else KeyMarker)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hf:none", "--mark", "nonsense", "--data", str(tmp_path)]) == 2
    assert "no mark" in capsys.readouterr().err


def test_answers_come_marked_and_say_so(folder: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.commit(NAME)
    command = [sys.executable, "-m", "spiritsafe.protect.serve", f"hf:{folder}", "--threads", "1"]
    command += ["--stop-with-stdin", "--mark", NAME, "--data", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["port"]
        body = {"model": "tiny", "prompt": "the still", "max_tokens": 300, "seed": 1, "logprobs": 0}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        with contextlib.closing(urllib.request.urlopen(request, timeout=120)) as reply:
            assert reply.headers["x-spiritsafe-mark"] == f"{NAME}@1"
            spelled = json.load(reply)["choices"][0]["logprobs"]["tokens"]
    finally:
        process.communicate("", timeout=200)
    tokens = [int(text[-2:], 16) if text.startswith("bytes:") else ord(text) for text in spelled]
    assert detect(mark(NAME), keyring.key(), [tokens], subject="an answer", decoys=0).exact.p_value < 1e-9
