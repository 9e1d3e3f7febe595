from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.drill.crowd import START, crowd

Run = Callable[..., object]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Honest tenants of the drill, their two hours stretched to two weeks, every question asked thrice."""
    rows = [
        {
            "account_id": exchange.account_id,
            "time": (START + (exchange.time - START) * 168).replace(tzinfo=None),
            "prompt": f"{exchange.messages[0].content} {more}",
            "payment": exchange.payment,
            "ip_prefix": exchange.ip_prefix,
            "system": exchange.system,
        }
        for exchange in crowd(3, {"person": 3, "coder": 1}, 200)
        for more in ("please", "thanks", "today")
        if exchange.messages
    ]
    path = tmp_path_factory.mktemp("calibrate") / "log.parquet"
    pl.DataFrame(rows, infer_schema_length=None).sort("time").write_parquet(path)
    return path


def test_a_reference_is_made_measured_and_used(run: Run, log: Path, tmp_path: Path) -> None:
    out = tmp_path / "reference"
    report = run("calibrate", str(log), "--out", str(out), "--days", "30", "--json").json
    assert set(report) >= {"reference", "digest", "kinds", "expires", "contamination", "alarms", "because"}
    assert sum(report["kinds"].values()) == report["accounts"]
    whole = [line for line in report["alarms"] if line["kind"] == "all"]
    assert all(line["interval"][0] <= report["level"] for line in whole)
    assert sum(line["tested"] for line in whole) > 20
    scanned = json.loads(run("scan", str(log), "--reference", str(out), "--json").out)
    assert "accounts of log.parquet" in scanned["because"][0]
    assert "drifted" not in " ".join(scanned["because"])


def test_people_see_a_table(run: Run, log: Path, tmp_path: Path) -> None:
    done = run("calibrate", str(log), "--out", str(tmp_path / "reference"))
    assert done.code == 0
    assert "95% interval" in done.out
    assert "alarms should keep under 1.0%" in done.out


def test_the_starter_reference_is_said_to_be_one_and_other_traffic_to_have_drifted(run: Run, log: Path) -> None:
    frame = pl.read_parquet(log).with_columns(prompt=pl.col("prompt").str.reverse())
    strange = log.with_name("strange.parquet")
    frame.write_parquet(strange)
    because = " ".join(json.loads(run("scan", str(strange), "--reference", "starter", "--json").out)["because"])
    assert "this is the starter reference, made from generated traffic" in because
    assert "has drifted from the reference" in because


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--contamination", "0.7", "less than 0.5"), ("--level", "-1", "less than 0.5"), ("--days", "0", "1 or more")],
)
def test_wrong_options_are_refused(run: Run, log: Path, option: str, value: str, words: str) -> None:
    done = run("calibrate", str(log), option, value)
    assert done.code == 2
    assert words in done.err
