"""What a drill leaves behind, played once on a tiny model with random weights, for all who look at it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.drill.run import Drilled, drill
from spiritsafe.drill.scenario import QUICK, Size

SMALL: Size = msgspec.structs.replace(
    QUICK,
    honest={"person": 2, "coder": 3, "student": 3},
    members=8,
    corpus=900,
    exchanges=220,
    deadline=150.0,
    budget=240.0,
    brevity=0.3,
    pace=0.1,
    aftermath=3.0,
    crowd=900,
    lessons=15,
    layers=1,
    schooling=0.1,
)


def _tiny(folder: Path) -> Path:
    """A model folder: two layers, random weights, a tokenizer of bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["the still makes the spirit and the safe keeps it"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}<|end|>{% endfor %}"
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=1024, eos_token_id=0, pad_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small() -> Size:
    """A drill for tests: the gateway, the watcher and the client are real, the model knows nothing."""
    return SMALL


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tiny model's spec."""
    return f"hf:{_tiny(tmp_path_factory.mktemp('teacher') / 'tiny')}"


@pytest.fixture(scope="session")
def drilled(tmp_path_factory: pytest.TempPathFactory, teacher: str) -> Drilled:
    """A small drill, played to its end."""
    return drill(tmp_path_factory.mktemp("drill") / "out", SMALL, 3, teacher=teacher, quiet=True)
