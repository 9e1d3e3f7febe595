from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.detect.account.digests import COLUMNS, joined, split


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_all_64_bits_come_back(digests: list[int]) -> None:
    rows = split(np.array(digests, dtype=np.uint64))
    assert rows.shape == (len(digests), COLUMNS)
    assert rows.dtype == np.float32
    assert joined(rows).tolist() == digests


def test_the_lowest_bits_come_first() -> None:
    assert split(np.array([1, 2**22, 2**63], dtype=np.uint64)).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 2**19]]
