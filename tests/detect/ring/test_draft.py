from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.draft import core_of
from spiritsafe.detect.ring.shared import SharedValues
from spiritsafe.detect.types import KINDS, LinkTable

COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}


def test_the_core_shrinks_kind_after_kind_from_the_most_common_value() -> None:
    uses = [(i, "payment", 1) for i in range(10)]
    uses += [(i, "ip_prefix", 2) for i in range(7)] + [(i, "ip_prefix", 3) for i in range(7, 10)]
    uses += [(i, "client", 4) for i in range(5)] + [(i, "client", 4) for i in range(50, 60)]
    account, column, value = (list(each) for each in zip(*uses, strict=True))
    shared = SharedValues(
        LinkTable(
            tuple(str(i) for i in range(100)),
            np.array(account),
            np.array([COLUMN[name] for name in column]),
            np.array(value, dtype=np.uint64),
        )
    )
    every = {KINDS.index(kind) for kind in ("payment", "place", "client")}
    core = core_of(shared, every, set(range(10)))
    assert [(step.kind, step.both, step.before, step.size) for step in core] == [
        ("payment", 10, 10, 10),
        ("place", 7, 10, 7),
        ("client", 5, 7, 15),
    ]
    assert [step.kind for step in core_of(shared, {KINDS.index("payment")}, set(range(10)))] == ["payment"]
