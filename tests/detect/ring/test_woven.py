from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.shared import SharedValues
from spiritsafe.detect.ring.woven import woven
from spiritsafe.detect.types import LinkTable

COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}
Uses = list[tuple[int, str, int]]


def found(uses: Uses, accounts: int = 400) -> list[tuple[str, ...]]:
    account, column, value = (list(each) for each in zip(*uses, strict=True))
    table = LinkTable(
        tuple(f"a{i:04d}" for i in range(accounts)),
        np.array(account, dtype=np.int64),
        np.array([COLUMN[name] for name in column], dtype=np.int64),
        np.array(value, dtype=np.uint64),
    )
    shared = SharedValues(table)
    return [draft.accounts for draft in woven(shared, shared.links())]


def crossed(members: int, cards: int, networks: int, start: int = 0) -> Uses:
    """Cards and networks dealt out so that no two of them hold the same accounts."""
    uses = [(start + i, "payment", 100 + start + i % cards) for i in range(members)]
    return uses + [(start + i, "ip_prefix", 500 + start + (i // cards) % networks) for i in range(members)]


def test_cards_and_networks_that_cross_are_one_ring() -> None:
    assert found(crossed(14, 4, 3)) == [tuple(f"a{i:04d}" for i in range(14))]


def test_two_rings_that_share_nothing_stay_two() -> None:
    assert [len(accounts) for accounts in found(crossed(14, 4, 3) + crossed(14, 4, 3, start=50))] == [14, 14]


def test_an_office_of_several_companies_is_no_ring() -> None:
    # Five companies with a card each; a third of every company sits in one of two shared offices, among others.
    uses: Uses = [(i, "payment", 1 + i // 9) for i in range(45)]
    uses += [(i, "ip_prefix", 50 + (i // 3) % 2) for i in range(0, 45, 3)]
    uses += [(i, "ip_prefix", 50 + i % 2) for i in range(100, 120)]
    assert found(uses) == []


def test_one_kind_alone_weaves_nothing() -> None:
    assert found([(i, "payment", 1) for i in range(9)]) == []


def test_chance_weaves_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        uses = [(i, "payment", int(rng.integers(1, 200))) for i in range(400)]
        uses += [(i, "ip_prefix", int(rng.integers(1, 200))) for i in range(400)]
        assert found(uses) == []
