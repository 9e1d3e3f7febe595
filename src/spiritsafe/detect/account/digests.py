"""Digests as features: 64 bits in columns that float32 holds exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spiritsafe.detect.types import HashArray, Rows

COLUMNS = 3
_BITS = 22
_SHIFTS = np.arange(COLUMNS, dtype=np.uint64) * np.uint64(_BITS)


def split(digests: HashArray) -> Rows:
    """Digests [n] in 22 bits a column, the lowest first [n, COLUMNS]."""
    return ((digests[:, None] >> _SHIFTS) & np.uint64((1 << _BITS) - 1)).astype(np.float32)


def joined(rows: Rows) -> HashArray:
    """The digests that were ``split`` into these rows."""
    whole: HashArray = np.bitwise_or.reduce(rows.astype(np.uint64) << _SHIFTS, axis=1)
    return whole
