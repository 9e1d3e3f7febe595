from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import polars as pl
import pytest

from spiritsafe.detect.alarms import Calibrated, calibrate, rings_in
from spiritsafe.detect.calibrate import reference_of
from spiritsafe.detect.features import Batch
from spiritsafe.detect.log import Log, open_log
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Reference, load
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.stats.evalues import average

MADE = datetime(2026, 4, 1, tzinfo=UTC)


def made(log: Log, contamination: float = 0.2) -> Calibrated:
    return calibrate(log, made=MADE, source="x", lasts=timedelta(days=90), contamination=contamination)


@pytest.fixture(scope="module")
def log(traffic: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Twice the traffic, so that later days alone hold enough prompts of an account."""
    rng = Random(8)
    more = [
        traffic.with_columns(
            prompt=pl.Series([f"{text} {rng.choice('bdfg')}{rng.choice('aeiou')}" for text in traffic["prompt"]]),
            exchange_id=pl.col("exchange_id") + f"-{copy}",
        )
        for copy in range(2)
    ]
    path = tmp_path_factory.mktemp("alarms") / "log.parquet"
    pl.concat(more).sort("time").write_parquet(path)
    return open_log([str(path)])


def test_the_false_alarm_rate_is_measured_on_other_accounts_and_later_days(log: Log, tmp_path: Path) -> None:
    found = made(log)
    reference = found.reference
    assert reference.expires == MADE + timedelta(days=90)
    assert {kind.name for kind in reference.kinds} | {""} == {alarm.kind for alarm in reference.alarms}
    whole = [alarm for alarm in reference.alarms if not alarm.kind]
    assert len(whole) == 2
    assert whole[0].until == whole[1].since
    assert whole[0].since > datetime(2026, 3, 9, tzinfo=UTC)
    for alarm in whole:
        assert 8 < alarm.tested < 110
        assert alarm.interval()[0] <= alarm.level
        kinds = [other for other in reference.alarms if other.kind and other.since == alarm.since]
        assert sum(other.tested for other in kinds) == alarm.tested
        assert sum(other.alarms for other in kinds) == alarm.alarms
    reference.save(tmp_path / "reference")
    assert load(tmp_path / "reference") == reference


def test_members_of_a_ring_are_left_out_up_to_the_stated_share(log: Log) -> None:
    clean, wary = (made(log, share) for share in (0.2, 0.05))
    assert clean.suspicious == wary.suspicious == clean.reference.left_out == 30
    assert wary.reference.left_out == 14
    assert wary.reference.accounts == clean.reference.accounts + 16


def test_nobody_is_left_out_of_honest_traffic(honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]) -> None:
    watch = Watch(collect=True)
    watch.learn_batch(batch_of(honest(200)))
    assert rings_in(watch) == []


def test_a_log_without_times_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"account_id": ["a"], "prompt": ["x"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="nothing of time"):
        made(open_log([str(tmp_path)]))


def test_a_log_that_is_too_small_is_refused(tmp_path: Path) -> None:
    sealed = SealedLog.open(tmp_path / "record")
    for number in range(40):
        when = MADE + timedelta(hours=number)
        asked = (Message("user", f"hello {'abcdefgh'[number % 8]}{'klmnop'[number % 6]}"),)
        sealed.append(Exchange(exchange_id=f"e{number}", time=when, account_id="a", messages=asked)).result(timeout=200)
    sealed.close()
    with pytest.raises(InputError, match="a reference needs 20"):
        made(open_log([str(tmp_path)]))


@pytest.mark.parametrize("hidden", [False, True])
def test_a_poisoned_reference_costs_power_and_accuses_nobody(
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
    actor: type[Any],
    centres: Callable[..., Any],
    hidden: bool,
) -> None:
    """A tenth of the reference's accounts harvest. Those that show as a ring are left out; those that hide are not."""

    def harvesters(name: str, n: int) -> list[Any]:
        shares = [
            {"payment": f"{name}-{i}" if hidden else name, "ip_prefix": f"{name}-{i}" if hidden else name}
            for i in range(n)
        ]
        return [actor(f"{name}-{i}", centres(60, 3)[50], 60, shared, phrases=0.9) for i, shared in enumerate(shares)]

    def reference(crowd: list[Any], left_out: bool = False) -> Reference:
        watch = Watch(collect=True)
        watch.learn_batch(batch_of(crowd))
        without = frozenset(rings_in(watch)) if left_out else frozenset()
        return reference_of(watch, made=MADE, source="x", without=without)

    def worth(known: Reference, crowd: list[Any]) -> list[float]:
        watch = Watch(known, ring_detectors=())
        watch.learn_batch(batch_of(crowd, seed=5))
        found = watch.evaluate(notable=float("-inf")).findings
        return [average([e.result.log10_e for e in f.evidence]) for f in found]

    people = honest(300)
    poisoned_by = [*people, *harvesters("old", 30)]
    clean, poisoned, mended = reference(people), reference(poisoned_by), reference(poisoned_by, left_out=True)
    ring = {
        name: median(worth(known, harvesters("new", 20)))
        for name, known in (("c", clean), ("p", poisoned), ("m", mended))
    }
    crowd = honest(150, seed=1)
    for known in (clean, poisoned, mended):
        assert max(worth(known, crowd)) < 2.0
    assert ring["c"] - ring["p"] > 0.5
    assert ring["m"] == pytest.approx(ring["p"] if hidden else ring["c"], abs=0.1)
