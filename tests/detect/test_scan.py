from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from spiritsafe.detect.calibrate import reference_of, reference_of_frame
from spiritsafe.detect.log import Log, open_log
from spiritsafe.detect.scan import collect, scan
from spiritsafe.detect.types import Evaluation
from spiritsafe.stats.evalues import partial_conjunction
from spiritsafe.store.models import Grant

MADE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def log(traffic: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("log") / "traffic.parquet"
    traffic.write_parquet(path)
    return open_log([str(path)])


def best_ring(evaluation: Evaluation) -> tuple[float, set[str]]:
    rings = [f for f in evaluation.findings if f.subject_kind == "ring"]
    worth = [(partial_conjunction([e.result.log10_e for e in f.evidence]), set(f.accused)) for f in rings]
    return max(worth, key=lambda pair: pair[0])


def test_the_ring_is_found_in_a_log_by_itself(log: Log) -> None:
    told: list[int] = []
    found = scan(log, report=told.append)
    worth, accused = best_ring(found.evaluation)
    assert worth > 2.5
    assert accused == {f"ring-{i}" for i in range(240, 270)}
    assert found.exchanges == 8100
    assert told[-1] == 8100
    assert len(found.accounts) == 270
    accounts = [f for f in found.evaluation.findings if f.subject_kind == "account"]
    assert len(accounts) > 250


def test_two_scans_find_the_same(log: Log) -> None:
    assert scan(log).evaluation == scan(log).evaluation


def test_a_reference_finds_it_too(log: Log, traffic: pl.DataFrame) -> None:
    honest = traffic.filter(pl.col("account_id").str.starts_with("honest"))
    reference = reference_of_frame(honest, made=MADE, source="honest")
    worth, accused = best_ring(scan(log, reference=reference).evaluation)
    assert worth > 2.0
    assert len(accused) == 30


def test_a_permitted_ring_is_not_looked_at(log: Log) -> None:
    grants = [
        Grant(grant_id="g", account_id=f"ring-{i}", model="*", purpose="distil", by="x", created=MADE)
        for i in range(240, 270)
    ]
    found = scan(log, grants=grants)
    assert not {name for f in found.evaluation.findings for name in f.accounts if name.startswith("ring-")}
    assert len(found.accounts) == 270


def test_a_log_can_become_a_reference(log: Log) -> None:
    made = reference_of(collect(log), made=MADE, source="log")
    assert made.accounts > 250
