"""Which accounts to leave out of a comparison because they may be the same hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.features import SHARED, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import IntArray

POPULAR = 1 / 5
"""A value used by more than this share of the accounts compared with says nothing about kinship."""

_COLUMNS = frozenset(i for i, (_, kind) in enumerate(SHARED) if kind != "client")


class Kin:
    """Finds, among fixed accounts, those that share a rare value with another account, or are that account. ``names``
    are digests.

    Without this a ring would be its own nearest neighbour, and look the more ordinary the more members it has.
    """

    def __init__(self, names: Sequence[int], shared: Sequence[Iterable[tuple[int, int]]]) -> None:
        self._at = {name: row for row, name in enumerate(names)}
        users: dict[tuple[int, int], list[int]] = {}
        for row, pairs in enumerate(shared):
            for pair in pairs:
                if pair[0] in _COLUMNS:
                    users.setdefault(pair, []).append(row)
        most = max(1.0, POPULAR * len(names))
        self._users = {pair: rows for pair, rows in users.items() if len(rows) <= most}

    def of(self, tenant: Tenant) -> IntArray:
        """Rows of the accounts to leave out, in no particular order."""
        found: set[int] = set()
        for pair in tenant.shared:
            found.update(self._users.get(pair, ()))
        itself = self._at.get(digest("account", tenant.account_id))
        if itself is not None:
            found.add(itself)
        return np.fromiter(found, dtype=np.int64, count=len(found))
