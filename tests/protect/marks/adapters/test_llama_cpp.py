from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.adapters.llama_cpp import LlamaCppMark
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.registry import mark

KEY = key_of(bytes(range(32)), "any", 1)


@pytest.mark.parametrize("name", ["kgw-k1-g0.25-d2", "gumbel-k1", "tournament-m30-k1"])
def test_a_loop_like_that_of_llama_cpp_python_writes_marked_text(name: str) -> None:
    """Its contract: ids of prompt and answer as intc, one row of scores as float32, called once a token."""
    rng = np.random.default_rng(0)
    found, answers = mark(name), []
    table = rng.normal(size=(200, 200)).astype(np.single)
    processor = LlamaCppMark(found, KEY, temperature=0.7)
    for _ in range(3):
        ids = rng.integers(0, 200, 6).tolist()
        for _ in range(120):
            row = processor(np.array(ids, dtype=np.intc), table[ids[-1]].copy())
            assert row.dtype == np.single
            chances = np.exp((row - row.max()).astype(np.float64) / 0.7)
            ids.append(int(rng.choice(200, p=chances / chances.sum())))
        answers.append(ids[6:])
    assert detect(found, KEY, answers, subject=name, decoys=0).exact.p_value < 1e-9
