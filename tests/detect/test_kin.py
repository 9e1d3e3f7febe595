from __future__ import annotations

import pytest

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.kin import Kin

PAYMENT, CLIENT = 0, [name for name, _ in SHARED].index("client")


def found(kin: Kin, name: int, shared: list[tuple[int, int]]) -> list[int]:
    return sorted(kin.of(name, shared).tolist())


@pytest.fixture
def kin() -> Kin:
    shared = [[(PAYMENT, 7), (CLIENT, 1)], [(PAYMENT, 7)], [(PAYMENT, 8)], *[[(PAYMENT, 100 + i)] for i in range(40)]]
    return Kin(list(range(1000, 1043)), shared)


def test_those_who_share_a_rare_value_are_kin(kin: Kin) -> None:
    assert found(kin, 1, [(PAYMENT, 7)]) == [0, 1]
    assert found(kin, 1, [(PAYMENT, 7), (PAYMENT, 8)]) == [0, 1, 2]


def test_an_account_is_its_own_kin(kin: Kin) -> None:
    assert found(kin, 1002, []) == [2]


def test_a_program_makes_no_kin(kin: Kin) -> None:
    assert found(kin, 1, [(CLIENT, 1)]) == []


def test_a_value_that_many_use_makes_no_kin() -> None:
    crowd = Kin(list(range(100)), [[(PAYMENT, 1)] if i < 21 else [(PAYMENT, i)] for i in range(100)])
    few = Kin(list(range(100)), [[(PAYMENT, 1)] if i < 20 else [(PAYMENT, i)] for i in range(100)])
    assert found(crowd, -1, [(PAYMENT, 1)]) == []
    assert found(few, -1, [(PAYMENT, 1)]) == list(range(20))


def test_nobody_is_kin_of_a_stranger(kin: Kin) -> None:
    assert found(kin, 5, [(PAYMENT, 999)]) == []
