from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from spiritsafe.detect.alarms import Calibrated, calibrate, rings_in
from spiritsafe.detect.features import Batch
from spiritsafe.detect.log import Log, open_log
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import load
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog

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
        sealed.append(Exchange(exchange_id=f"e{number}", time=when, account_id="a", messages=asked)).result(timeout=30)
    sealed.close()
    with pytest.raises(InputError, match="a reference needs 20"):
        made(open_log([str(tmp_path)]))
