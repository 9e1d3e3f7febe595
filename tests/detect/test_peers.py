from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from spiritsafe.detect import peers
from spiritsafe.detect.calibrate import reference_of
from spiritsafe.detect.features import Batch
from spiritsafe.detect.online import Watch
from spiritsafe.detect.peers import Company


@pytest.fixture
def watch(honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], actor: type[Any]) -> Watch:
    some = honest(60)
    kin = [actor(f"kin-{i}", some[0].centre, 40, {"payment": "one card"}) for i in range(2)]
    watch = Watch(collect=True)
    watch.learn_batch(batch_of([*some, *kin]))
    return watch


def test_an_account_is_not_compared_with_itself_or_its_kin(watch: Watch) -> None:
    company = Company.of_log(list(watch.tenants.values()), watch.detectors, 0)
    assert len(company.left_out(watch.tenants["kin-0"])) == 2
    assert len(company.left_out(watch.tenants["honest-0-1"])) <= 1


def test_of_very_many_a_part_stands_for_all(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MOST_ALONE", 10)
    company = Company.of_log(list(watch.tenants.values()), watch.detectors, 0)
    assert len(company.peers.rows) == 10


def test_nobody_is_no_company() -> None:
    assert len(Company.of_log([], Watch().detectors, 0).peers.rows) == 0


def test_the_references_peers_are_those_of_the_detector(watch: Watch) -> None:
    made = reference_of(watch, made=datetime(2026, 3, 1, tzinfo=UTC), source="x")
    company = Company.of_reference(made, "population")
    assert len(company.peers.rows) == len(made.peers)
    here = [tenant for tenant in watch.tenants.values() if len(company.left_out(tenant))]
    assert here
