"""A ring before it is judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.detect.ring.chance import Meeting
from spiritsafe.detect.types import KINDS

if TYPE_CHECKING:
    from spiritsafe.detect.ring.shared import SharedValues
    from spiritsafe.detect.types import Link, LinkKind


class Draft(NamedTuple):
    """``core`` says, kind after kind, how many members share one value of it; empty for a candidate of one kind."""

    accounts: tuple[str, ...]
    kinds: tuple[LinkKind, ...]
    links: tuple[Link, ...]
    core: tuple[Meeting, ...] = ()


def core_of(shared: SharedValues, kinds: set[int], members: set[int]) -> tuple[Meeting, ...]:
    """The members that use the most used value of every kind, kind after kind, the most common first."""
    inside = shared.uses.filter(shared.uses["account"].is_in(list(members))).join(shared.rows, on="at")
    most = inside.group_by("at", "kind", "size").agg("account").sort("at")
    steps: dict[int, Meeting] = {}
    core = members
    for row in sorted(most.iter_rows(named=True), key=lambda row: -len(row["account"])):
        kind = row["kind"]
        if kind in kinds and kind not in steps:
            before, core = len(core), core & set(row["account"])
            choices = math.log10(shared.values_of(kind) + 1)
            steps[kind] = Meeting(KINDS[kind], len(core), before, row["size"], choices)
    return tuple(steps.values())
