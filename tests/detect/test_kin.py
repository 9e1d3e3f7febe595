from __future__ import annotations

import pytest

from spiritsafe.detect.features import SHARED, digest
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.tenant import Tenant

PAYMENT, CLIENT = 0, [name for name, _ in SHARED].index("client")


def found(kin: Kin, name: str, shared: list[tuple[int, int]]) -> list[int]:
    tenant = Tenant(name, ())
    tenant.shared = set(shared)
    return sorted(kin.of(tenant).tolist())


def names(n: int) -> list[int]:
    return [digest("account", f"a{i}") for i in range(n)]


@pytest.fixture
def kin() -> Kin:
    shared = [[(PAYMENT, 7), (CLIENT, 1)], [(PAYMENT, 7)], [(PAYMENT, 8)], *[[(PAYMENT, 100 + i)] for i in range(40)]]
    return Kin(names(43), shared)


def test_those_who_share_a_rare_value_are_kin(kin: Kin) -> None:
    assert found(kin, "x", [(PAYMENT, 7)]) == [0, 1]
    assert found(kin, "x", [(PAYMENT, 7), (PAYMENT, 8)]) == [0, 1, 2]


def test_an_account_is_its_own_kin(kin: Kin) -> None:
    assert found(kin, "a2", []) == [2]


def test_a_program_makes_no_kin(kin: Kin) -> None:
    assert found(kin, "x", [(CLIENT, 1)]) == []


def test_a_value_that_many_use_makes_no_kin() -> None:
    crowd = Kin(names(100), [[(PAYMENT, 1)] if i < 21 else [(PAYMENT, i)] for i in range(100)])
    few = Kin(names(100), [[(PAYMENT, 1)] if i < 20 else [(PAYMENT, i)] for i in range(100)])
    assert found(crowd, "x", [(PAYMENT, 1)]) == []
    assert found(few, "x", [(PAYMENT, 1)]) == list(range(20))


def test_nobody_is_kin_of_a_stranger(kin: Kin) -> None:
    assert found(kin, "x", [(PAYMENT, 999)]) == []
