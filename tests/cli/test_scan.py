from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest

from spiritsafe import settings
from spiritsafe.cli.scan import read_grants
from spiritsafe.detect.account.elicitation_train import PHRASES, Phrases, expand
from spiritsafe.errors import InputError

RING = {f"ring-{i:03d}" for i in range(280, 320)}
Run = Callable[..., object]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """280 honest tenants of four kinds, and a ring of forty on one card, one network and one system prompt."""
    phrases = settings.load(PHRASES, Phrases)
    rng = Random(5)
    kinds = ("support", "agent", "code_question", "small_talk")
    record = phrases.elicit["record"] + phrases.elicit["hidden"]
    rows = []
    for i in range(320):
        ring = i >= 280
        for _ in range(40 if ring else 24):
            template = rng.choice(record) if ring else f"{{{kinds[i % 4]}}} {{noun}} {{adjective}}"
            rows.append(
                {
                    "account_id": f"{'ring' if ring else 'honest'}-{i:03d}",
                    "time": datetime(2026, 3, 2) + timedelta(minutes=rng.randrange(14 * 1440)),  # noqa: DTZ001
                    "model": "teacher-1",
                    "prompt": expand(template, phrases.rules, rng),
                    "system": "You know it all." if ring else None,
                    "ip_prefix": "net-ring" if ring else f"net-{i}",
                    "payment": "card-ring" if ring else f"card-{i}",
                    "client": f"sdk-{i % 3}",
                }
            )
    path = tmp_path_factory.mktemp("scan") / "log.parquet"
    pl.DataFrame(rows, infer_schema_length=None).sort("time").write_parquet(path)
    return path


@pytest.fixture
def grants(tmp_path: Path) -> Path:
    path = tmp_path / "grants.json"
    path.write_text(json.dumps([{"account_id": name, "model": "teacher-1", "purpose": "distil"} for name in RING]))
    return path


def test_a_ring_is_flagged_and_nobody_else(run: Run, log: Path) -> None:
    done = run("scan", str(log), "--json")
    assert done.code == 1
    assert "found: 40 accounts flagged" in done.err
    report = json.loads(done.out)
    assert set(report) == {"accounts", "rings", "exchanges", "seconds", "fdr", "policy", "because"}
    assert {a["account_id"] for a in report["accounts"] if a["decision"] == "flag"} == RING
    assert len(report["accounts"]) == 320
    assert report["fdr"] == 0.01
    ring = next(r for r in report["rings"] if r["decision"] == "flag")
    assert set(ring["accounts"]) == RING
    assert {link["kind"] for link in ring["links"]} >= {"payment"}
    assert ring["because"]
    flagged = next(a for a in report["accounts"] if a["decision"] == "flag")
    assert flagged["log10_e"] == ring["log10_e"]
    assert "39 others" in flagged["because"][0]
    assert flagged["telling"] == []
    assert len(ring["telling"]) == 3
    assert {one["account_id"] for one in ring["telling"]} <= RING
    assert all(one["text"] and one["time"] and one["by"] for one in ring["telling"])
    assert ring["alike"]["example"].startswith("honest-")
    assert 0.0 < ring["alike"]["distance"] < 1.5


def test_grants_are_read_first(run: Run, log: Path, grants: Path) -> None:
    done = run("scan", str(log), "--grants", str(grants), "--json")
    assert done.code == 0
    report = done.json
    assert {a["decision"] for a in report["accounts"]} <= {"clear", "watch"}
    permitted = next(a for a in report["accounts"] if a["account_id"] in RING)
    assert permitted["decision"] == "clear"
    assert "holds grant grants.json:" in permitted["because"][0]


def test_a_grant_for_another_purpose_permits_nothing(run: Run, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "grants.json"
    path.write_text(json.dumps([{"account_id": name, "purpose": "research"} for name in RING]))
    assert run("scan", str(log), "--grants", str(path), "--json").code == 1


def test_the_table_for_people_names_the_ring(run: Run, log: Path) -> None:
    done = run("scan", str(log))
    assert done.code == 1
    assert "ring-" in done.out
    assert "40 of 320 accounts flagged" in done.out
    assert "weighs most against" in done.out
    assert "looks most alike" in done.out
    assert "10^" in done.out


def test_a_reference_is_made_and_used(run: Run, log: Path, grants: Path, tmp_path: Path) -> None:
    path = tmp_path / "reference"
    made = run("scan", str(log), "--grants", str(grants), "--save-reference", str(path))
    assert made.code == 0
    assert "accounts at most" in made.err
    report = json.loads(run("scan", str(log), "--reference", str(path), "--json").out)
    assert {a["account_id"] for a in report["accounts"] if a["decision"] == "flag"} == RING


def test_partial_results_are_kept_beside_the_reference_or_where_said(
    run: Run, log: Path, grants: Path, tmp_path: Path
) -> None:
    path = tmp_path / "reference"
    run("scan", str(log), "--grants", str(grants), "--save-reference", str(path))
    once = json.loads(run("scan", str(log), "--reference", str(path), "--json").out)
    assert list((tmp_path / "reference.partials").iterdir())
    again = json.loads(run("scan", str(log), "--reference", str(path), "--json", "--workers", "1").out)
    assert {**again, "seconds": 0} == {**once, "seconds": 0}
    run("scan", str(log), "--partials", str(tmp_path / "kept"))
    assert list((tmp_path / "kept").iterdir())


def test_wrong_engines_are_refused(run: Run, log: Path) -> None:
    done = run("scan", str(log), "--engine", "cloud")
    assert done.code == 2
    assert "local, ray" in done.err
    assert run("scan", str(log), "--workers", "0").code == 2


def test_what_is_odd_about_a_log_is_said(run: Run, log: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(log).head(300).with_columns(exchange_id=pl.lit("e") + pl.int_range(300).cast(pl.String))
    frame = frame.with_columns(
        account_id=pl.when(pl.int_range(300) >= 7).then("account_id"),
        time=pl.when(pl.int_range(300) >= 20).then("time"),
        prompt=pl.when(pl.int_range(300) < 290).then("prompt"),
    )
    frame.write_parquet(tmp_path / "a.parquet")
    frame.slice(100, 50).write_parquet(tmp_path / "b.parquet")
    because = json.loads(run("scan", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet"), "--json").out)["because"]
    assert because[1:] == [
        "7 exchanges name no account and were left out",
        "13 exchanges have no time that can be read",
        "10 exchanges hold no prompt",
        "50 exchanges came twice and were counted once",
    ]


@pytest.mark.parametrize("value", ["0", "1", "7"])
def test_an_fdr_that_is_no_share_is_refused(run: Run, log: Path, value: str) -> None:
    done = run("scan", str(log), "--fdr", value)
    assert done.code == 2
    assert "between 0 and 1" in done.err


def test_bad_input_is_named(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "log.csv"
    text.write_text("a,b\n")
    for arguments, words in (
        ((str(text),), "not a Parquet file"),
        ((str(tmp_path / "x.parquet"),), "no such file"),
        ((str(text), "--reference", str(text)), "not a reference"),
        ((str(text), "--grants", str(text)), "grants can't be read"),
        ((str(text), "--policy", str(text)), "log.csv:1"),
    ):
        done = run("scan", *arguments)
        assert done.code == 2
        assert words in done.err


def test_a_grants_file_may_say_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text('[{"account_id": "a", "purpose": "distil", "expires": "2027-01-01T00:00:00Z", "note": "x"}]')
    held = read_grants(path)[0]
    assert held.model == "*"
    assert held.expires is not None
    path.write_text('{"account_id": "a"}')
    with pytest.raises(InputError, match="grants can't be read"):
        read_grants(path)
