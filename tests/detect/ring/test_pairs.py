from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.pairs import paired
from spiritsafe.detect.ring.shared import SharedValues
from spiritsafe.detect.types import LinkTable

COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}
Uses = list[tuple[int, str, int]]


def found(uses: Uses, accounts: int = 2000) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    account, column, value = (list(each) for each in zip(*uses, strict=True))
    table = LinkTable(
        tuple(f"a{i:04d}" for i in range(accounts)),
        np.array(account, dtype=np.int64),
        np.array([COLUMN[name] for name in column], dtype=np.int64),
        np.array(value, dtype=np.uint64),
    )
    shared = SharedValues(table)
    return [(draft.accounts, draft.kinds) for draft in paired(shared, shared.links())]


def names(*ids: int) -> tuple[str, ...]:
    return tuple(f"a{i:04d}" for i in ids)


def test_accounts_that_share_card_and_network_are_a_ring() -> None:
    uses = [(i, "payment", 1) for i in range(8)] + [(i, "ip_prefix", 2) for i in range(8)]
    assert found(uses) == [(names(*range(8)), ("payment", "place"))]


def test_only_those_who_share_both_belong_to_it() -> None:
    uses = [(i, "payment", 1) for i in range(8)] + [(i, "ip_prefix", 2) for i in range(4, 40)]
    assert found(uses) == [(names(4, 5, 6, 7), ("payment", "place"))]


def test_one_kind_of_link_makes_no_ring() -> None:
    assert found([(i, "payment", 1) for i in range(30)]) == []
    prefix_and_network = [(i, "ip_prefix", 1) for i in range(30)] + [(i, "network", 2) for i in range(30)]
    assert found(prefix_and_network) == []


def test_a_program_confirms_a_card_and_joins_no_cards() -> None:
    uses = [(i, "client", 1) for i in range(400)]
    uses += [(i, "payment", 1) for i in range(12)] + [(i, "payment", 2) for i in range(12, 24)]
    assert found(uses) == [(names(*range(12)), ("payment", "client")), (names(*range(12, 24)), ("payment", "client"))]


def test_a_system_prompt_confirms_a_card_and_joins_no_cards() -> None:
    uses = [(i, "system", 1) for i in range(24)]
    uses += [(i, "payment", 1) for i in range(12)] + [(i, "payment", 2) for i in range(12, 24)]
    assert found(uses) == [(names(*range(12)), ("payment", "system")), (names(*range(12, 24)), ("payment", "system"))]


def test_strangers_who_copy_a_tutorial_are_no_ring() -> None:
    uses = [(i, "system", 1) for i in range(12)] + [(i, "client", 1) for i in range(12)]
    assert found(uses) == []


def test_a_network_joins_the_cards_on_it() -> None:
    uses = [(i, "ip_prefix", 1) for i in range(24)]
    uses += [(i, "payment", 1) for i in range(12)] + [(i, "payment", 2) for i in range(12, 24)]
    assert found(uses) == [(names(*range(24)), ("payment", "place"))]


def test_two_popular_values_that_go_together_are_no_ring() -> None:
    uses = [(i, "network", 1) for i in range(600)] + [(i, "client", 1) for i in range(500)]
    assert found(uses) == []


def test_chance_makes_no_rings() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        uses = [(i, "payment", int(rng.integers(1, 700))) for i in range(2000)]
        uses += [(i, "ip_prefix", int(rng.integers(1, 700))) for i in range(2000)]
        assert found(uses) == []


def test_no_blob_forms_however_many_share_something() -> None:
    # A tenth behind shared networks, a third on company cards, everyone on one of five programs.
    rng = np.random.default_rng(1)
    uses: Uses = [(i, "client", int(rng.integers(1, 6))) for i in range(5000)]
    uses += [(i, "ip_prefix", 1 + i // 40) for i in range(500)]
    uses += [(i, "payment", 1 + int(rng.integers(0, 200))) for i in range(0, 5000, 3)]
    assert max((len(accounts) for accounts, _ in found(uses, 5000)), default=0) < 20
