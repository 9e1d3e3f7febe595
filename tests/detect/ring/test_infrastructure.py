from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring import RING_DETECTORS
from spiritsafe.detect.ring.infrastructure import LEAST_GROUP, Infrastructure
from spiritsafe.detect.types import LinkTable, Ring

COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}
Uses = list[tuple[int, str, int]]


def table(uses: Uses, accounts: int = 2000) -> LinkTable:
    account, column, value = (list(each) for each in zip(*uses, strict=True)) if uses else ([], [], [])
    return LinkTable(
        tuple(f"a{i:04d}" for i in range(accounts)),
        np.array(account, dtype=np.int64),
        np.array([COLUMN[name] for name in column], dtype=np.int64),
        np.array(value, dtype=np.uint64),
    )


def rings(uses: Uses, honest_group: int | None = None) -> list[Ring]:
    held = table(uses)
    linker = Infrastructure()
    return linker.rings(linker.links(held), held, honest_group)


def ring_uses(members: int = 60) -> Uses:
    return [(i, name, 7) for i in range(members) for name in ("payment", "ip_prefix", "system")]


def companies(n: int, size: int) -> Uses:
    return [(100 + c * size + i, "payment", 1000 + c) for c in range(n) for i in range(size)]


def test_it_is_registered() -> None:
    assert [d.name for d in RING_DETECTORS] == ["infrastructure", "lockstep", "corpus"]


def test_a_ring_of_three_kinds_is_beyond_chance_and_says_why() -> None:
    found = rings(ring_uses() + companies(40, 9))
    ring = next(r for r in found if len(r.kinds) > 1)
    assert len(ring.accounts) == 60
    assert ring.kinds == ("payment", "place", "system")
    assert ring.honest_group == 9
    assert ring.log10_p < -10.0
    assert any("60 accounts share" in fact for fact in ring.because)


def test_companies_are_candidates_without_evidence() -> None:
    found = rings(companies(40, 9))
    assert len(found) == 40
    assert {r.kinds for r in found} == {("payment",)}
    assert {r.log10_p for r in found} == {0.0}


def test_a_shared_office_network_alone_is_a_candidate_without_evidence() -> None:
    found = rings([(i, "ip_prefix", 3) for i in range(40)])
    assert [(r.kinds, r.log10_p, len(r.accounts)) for r in found] == [(("place",), 0.0, 40)]


def test_a_company_no_larger_than_others_is_no_coincidence_however_much_it_shares() -> None:
    found = rings([(i, name, 7) for i in range(9) for name in ("payment", "ip_prefix", "system")] + companies(40, 9))
    assert max(len(r.kinds) for r in found) == 3
    assert min(r.log10_p for r in found) == 0.0


def test_the_size_of_honest_groups_can_be_told_and_is_else_read_off_the_others() -> None:
    assert {r.honest_group for r in rings(ring_uses(), 20)} == {20}
    assert {r.honest_group for r in rings(ring_uses())} == {LEAST_GROUP}
    assert Infrastructure().honest_group(table(companies(30, 4)), 0.99) == 4
    assert Infrastructure().honest_group(table([(i, "ip_prefix", 3) for i in range(40)]), 0.99) is None


def test_a_ring_keeps_its_name_while_it_grows() -> None:
    small, large = (max(rings(ring_uses(n)), key=lambda r: len(r.accounts)).ring_id for n in (20, 70))
    assert small == large


def test_no_link_serves_two_rings() -> None:
    found = rings(ring_uses() + companies(10, 9) + [(i, "ip_prefix", 50) for i in range(500, 530)])
    values = [(link.kind, link.value) for r in found for link in r.links]
    assert len(values) == len(set(values))


def test_an_empty_log_has_no_rings() -> None:
    assert rings([]) == []


def test_the_same_table_gives_the_same_rings() -> None:
    uses = ring_uses() + companies(20, 9)
    shuffled = [uses[i] for i in np.random.default_rng(0).permutation(len(uses))]
    assert sorted(rings(uses), key=lambda r: r.ring_id) == sorted(rings(shuffled), key=lambda r: r.ring_id)
