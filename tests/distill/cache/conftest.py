"""Rows in tokens, and caches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from spiritsafe.distill.cache.types import Spec
from spiritsafe.distill.cache.writer import CacheWriter


class Row(NamedTuple):
    key: str
    ids: Sequence[int]
    start: int


def make_spec(**more: Any) -> Spec:
    return Spec(**{"kind": "sampled", "teacher": "tiny", "tokenizer": "digest", "vocabulary": 50, **more})


def make_rows(n: int, seed: int = 0, vocabulary: int = 50) -> list[tuple[Row, torch.Tensor]]:
    g = torch.Generator().manual_seed(seed)
    found = []
    for i in range(n):
        start = 1 + i % 3
        answer = i % 5
        ids = torch.randint(0, vocabulary, (start + answer,), generator=g).tolist()
        found.append((Row(f"row-{i}", ids, start), 3.0 * torch.randn(answer, vocabulary, generator=g)))
    return found


@pytest.fixture
def spec() -> Callable[..., Spec]:
    return make_spec


@pytest.fixture
def rows() -> Callable[..., list[tuple[Row, torch.Tensor]]]:
    """``rows(n)``: n rows with the teacher's logits at their answer tokens, some with no answer at all."""
    return make_rows


@pytest.fixture
def row() -> Callable[..., Row]:
    return Row


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """``written(rows, **spec)``: the folder of a whole cache of them."""

    def write(items: Sequence[tuple[Row, torch.Tensor]], *, rows_per_part: int = 4, **more: Any) -> Path:
        folder = tmp_path / "cache"
        writer = CacheWriter(folder, make_spec(**more), rows_per_part=rows_per_part)
        for one, logits in items:
            writer.add_logits(one, logits)
        writer.close()
        return folder

    return write
