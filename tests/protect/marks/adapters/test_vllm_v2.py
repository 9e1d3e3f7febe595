from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from spiritsafe.protect.keys import Keyring
from spiritsafe.protect.marks.embed import logit_mark, reweighed
from spiritsafe.protect.marks.registry import mark

NAME = "kgw-k2-g0.25-d2"


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    keyring = Keyring(tmp_path)
    keyring.commit(NAME)
    monkeypatch.setenv("SPIRITSAFE_DATA", str(tmp_path))
    monkeypatch.setenv("SPIRITSAFE_MARK", NAME)
    return keyring


def states(history: list[list[int]], prompts: list[int]) -> SimpleNamespace:
    """The runner's buffers: tokens by slot, padded, and the prompts' lengths."""
    width = max(map(len, history))
    padded = torch.tensor([row + [0] * (width - len(row)) for row in history])
    return SimpleNamespace(all_token_ids=SimpleNamespace(gpu=padded), prompt_len=SimpleNamespace(np=np.array(prompts)))


def context(slots: list[int], ends: list[int], local: list[int] | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        expanded_idx_mapping=torch.tensor(slots),
        pos=torch.tensor(ends) - 1,
        expanded_local_pos=torch.tensor(local or [0] * len(slots)),
    )


def test_it_is_what_vllm_asks_for(vllm: dict[str, Any], keyring: Keyring, params: Any) -> None:
    two = vllm["v2"]
    assert issubclass(two.adapter.MarkLogitsProcessor, two.interface.LogitsProcessor)
    two.adapter.MarkLogitsProcessor.validate_params(params())


def test_each_row_is_marked_by_its_slot_s_answer_so_far(vllm: dict[str, Any], keyring: Keyring, params: Any) -> None:
    history = [[1, 2, 3, 40, 41], [1, 50, 51, 52], [9, 9, 9]]
    processor = vllm["v2"].adapter.MarkLogitsProcessor(object(), states(history, [3, 1, 3]))
    for slot in (0, 1, 2):
        assert processor.add_request(slot, params()) is True
    logits = torch.randn(3, 200)
    kept = logits.clone().numpy()
    out = processor.apply(logits, context([1, 2, 0], [4, 3, 5]))
    found = logit_mark(mark(NAME))
    for row, answer in enumerate([[50, 51, 52], [], [40, 41]]):
        np.testing.assert_array_equal(out[row].numpy(), reweighed(found, keyring.key(), kept[row], answer))


def test_a_slot_is_taken_over_whole(vllm: dict[str, Any], keyring: Keyring, params: Any) -> None:
    processor = vllm["v2"].adapter.MarkLogitsProcessor(object(), states([[1, 5, 6]], [1]))
    processor.add_request(0, params(extra_args={"spiritsafe_tenant": "acme"}))
    processor.add_request(0, params())
    logits = torch.randn(1, 200)
    expected = reweighed(logit_mark(mark(NAME)), keyring.key(), logits[0].clone().numpy(), [5, 6])
    np.testing.assert_array_equal(processor.apply(logits, context([0], [3]))[0].numpy(), expected)


def test_drafts_are_refused(vllm: dict[str, Any], keyring: Keyring, params: Any) -> None:
    processor = vllm["v2"].adapter.MarkLogitsProcessor(object(), states([[1, 5, 6]], [1]))
    processor.add_request(0, params())
    with pytest.raises(RuntimeError, match="speculative"):
        processor.apply(torch.randn(2, 200), context([0, 0], [3, 4], [0, 1]))
