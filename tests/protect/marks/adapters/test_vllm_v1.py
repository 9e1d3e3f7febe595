from __future__ import annotations

from enum import Enum, auto
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from spiritsafe.protect.keys import Keyring
from spiritsafe.protect.marks.embed import logit_mark, reweighed
from spiritsafe.protect.marks.registry import mark

NAME = "kgw-k1-g0.25-d2"


class Move(Enum):
    UNIDIRECTIONAL = auto()
    SWAP = auto()


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    keyring = Keyring(tmp_path)
    keyring.commit(NAME)
    monkeypatch.setenv("SPIRITSAFE_DATA", str(tmp_path))
    monkeypatch.setenv("SPIRITSAFE_MARK", NAME)
    return keyring


def test_it_is_what_vllm_asks_for(vllm: dict[str, Any], keyring: Keyring, params: Any) -> None:
    one = vllm["v1"]
    assert issubclass(one.adapter.MarkLogitsProcessor, one.interface.LogitsProcessor)
    processor = one.adapter.MarkLogitsProcessor(object(), torch.device("cpu"), False)
    assert processor.is_argmax_invariant() is False
    one.adapter.MarkLogitsProcessor.validate_params(params())


def test_rows_follow_their_requests_as_they_come_move_and_go(
    vllm: dict[str, Any], keyring: Keyring, params: Any
) -> None:
    one = vllm["v1"]
    move = getattr(one.interface, "MoveDirectionality", Move)
    update = getattr(one.interface, "BatchUpdate", SimpleNamespace)
    processor = one.adapter.MarkLogitsProcessor(object(), torch.device("cpu"), False)
    outputs: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    found = logit_mark(mark(NAME))

    def expect(*requests: str | None) -> None:
        logits = torch.randn(len(requests), 200)
        kept = logits.clone().numpy()
        out = processor.apply(logits)
        for row, (each, name) in enumerate(zip(kept, requests, strict=True)):
            marked = each if name is None else reweighed(found, keyring.key(), each, outputs[name])
            np.testing.assert_array_equal(out[row].numpy(), marked)

    added = [(i, params(), [1, 2], outputs[name]) for i, name in enumerate("abc")]
    processor.update_state(update(batch_size=3, removed=(), added=added, moved=()))
    for name, tokens in {"a": [5], "b": [6, 7], "c": []}.items():
        outputs[name].extend(tokens)  # vLLM lets its own lists grow
    expect("a", "b", "c")
    processor.update_state(None)
    expect("a", "b", "c")
    processor.update_state(update(batch_size=3, removed=(), added=(), moved=[(0, 1, move.SWAP)]))
    expect("b", "a", "c")
    processor.update_state(update(batch_size=2, removed=[0], added=(), moved=[(2, 0, move.UNIDIRECTIONAL)]))
    expect("c", "a")
    outputs["b"] = [9]
    processor.update_state(update(batch_size=2, removed=(), added=[(1, params(), None, outputs["b"])], moved=()))
    expect("c", "b")
