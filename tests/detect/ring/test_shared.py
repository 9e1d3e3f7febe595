from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.shared import LEAST_LOG10_E, SharedValues
from spiritsafe.detect.types import LinkTable

COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}


def table(uses: list[tuple[int, str, int]], accounts: int) -> LinkTable:
    account, column, value = (list(each) for each in zip(*uses, strict=True))
    return LinkTable(
        tuple(f"a{i:04d}" for i in range(accounts)),
        np.array(account, dtype=np.int64),
        np.array([COLUMN[name] for name in column], dtype=np.int64),
        np.array(value, dtype=np.uint64),
    )


def test_a_card_of_few_links_and_a_card_of_many_does_not() -> None:
    few = SharedValues(table([(i, "payment", 1) for i in range(9)], 1000)).links()
    many = SharedValues(table([(i, "payment", 1) for i in range(250)], 1000)).links()
    assert [len(link.accounts) for link in few.values()] == [9]
    assert next(iter(few.values())).log10_e > 2.0
    assert many == {}


def test_lift_falls_as_a_value_becomes_popular() -> None:
    rows = SharedValues(table([(i, "payment", v) for v in range(1, 6) for i in range(2**v)], 1000)).rows
    found = rows.sort("size").get_column("log10_e").to_list()
    assert found == sorted(found, reverse=True)


def test_where_everybody_shares_sharing_says_nothing() -> None:
    # Every account shares its network with a fourth of all: one network more is nothing to speak of.
    uses = [(i, "network", i % 4 + 1) for i in range(400)] + [(i, "network", 9) for i in range(3)]
    rows = SharedValues(table(uses, 400)).rows
    assert rows.filter(rows["value"] == 9).get_column("log10_e").item() < LEAST_LOG10_E["place"]


def test_a_program_never_links_by_itself() -> None:
    assert SharedValues(table([(i, "client", 1) for i in range(3)], 1000)).links() == {}


def test_a_value_of_one_account_is_nobodys_link() -> None:
    assert SharedValues(table([(0, "payment", 1)], 10)).rows.is_empty()


def test_accounts_without_a_name_are_counted_and_not_named() -> None:
    uses = [(i, "payment", 1) for i in range(4)]
    held = table(uses, 200)
    hidden = LinkTable(("a", "b", *[""] * 198), held.account, held.column, held.value)
    link = next(iter(SharedValues(hidden).links().values()))
    assert link.accounts == ("a", "b")


def test_a_ring_cannot_make_its_own_card_popular() -> None:
    uses = [(i, "payment", 1) for i in range(60)] + [(i, "payment", 2) for i in range(100, 125)]
    held = table(uses, 200)
    assert [len(link.accounts) for link in SharedValues(held).links().values()] == [25]
    behind = LinkTable((*held.accounts[:100], *[""] * 100), held.account, held.column, held.value)
    rows = SharedValues(behind).rows
    assert rows.filter(rows["value"] == 1).get_column("links").item()
    assert not rows.filter(rows["value"] == 2).get_column("links").item()


def test_an_empty_table_has_no_links() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert SharedValues(LinkTable((), none, none, none.astype(np.uint64))).links() == {}
