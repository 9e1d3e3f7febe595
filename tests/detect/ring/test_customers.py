from __future__ import annotations

import numpy as np

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.types import LinkTable

PAYMENT, PLACE = ([name for name, _ in SHARED].index(name) for name in ("payment", "ip_prefix"))


def table(n: int, uses: list[tuple[int, int, int]]) -> LinkTable:
    account, column, value = np.array(uses, dtype=np.int64).reshape(-1, 3).T
    return LinkTable(tuple(f"a{i}" for i in range(n)), account, column, value.astype(np.uint64))


def test_who_pays_with_one_card_is_one_customer_also_over_several_cards() -> None:
    of = customers(table(60, [(0, PAYMENT, 1), (1, PAYMENT, 1), (1, PAYMENT, 2), (2, PAYMENT, 2), (3, PAYMENT, 9)]))
    assert of[0] == of[1] == of[2]
    assert len(set(of.tolist())) == 58


def test_a_shared_network_joins_nobody() -> None:
    assert len(set(customers(table(60, [(i, PLACE, 1) for i in range(10)])).tolist())) == 60


def test_a_means_of_payment_that_nearly_all_use_joins_nobody() -> None:
    assert len(set(customers(table(60, [(i, PAYMENT, 1) for i in range(55)])).tolist())) == 60


def test_nobody_has_no_customers() -> None:
    assert customers(table(0, [])).tolist() == []
