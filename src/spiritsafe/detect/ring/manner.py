"""What the members of a ring do alike besides what it was found by: how much each asks, and how often each thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.cores import rows_of
from spiritsafe.detect.ring.amounts import even
from spiritsafe.detect.ring.samples import equally_often

if TYPE_CHECKING:
    from spiritsafe.detect.types import IntArray, LinkTable
    from spiritsafe.stats.result import Evidence


def manner(ring_id: str, members: IntArray, of: IntArray | None, table: LinkTable) -> tuple[Evidence, ...]:
    """Evidence about ``members``; ``of`` is each account's customer, None where it is unknown who is one."""
    found: list[Evidence] = []
    if of is not None and table.moments is not None:
        account, _, times = table.moments.columns()
        mine = rows_of(account, members)
        _, number = np.unique(of[account[mine]], return_inverse=True)
        found.append(even(ring_id, np.bincount(number, weights=times[mine]).astype(np.float64)))
    if table.cores is not None:
        inside = table.cores.sample().of(members)
        found.append(equally_often(ring_id, inside, inside.account if of is None else of[inside.account]))
    return tuple(found)
