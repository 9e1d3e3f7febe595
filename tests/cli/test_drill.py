from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spiritsafe.cli import app
from spiritsafe.cli import drill as verb
from spiritsafe.drill import run
from spiritsafe.drill.account import Lesson, Outcome, Proof
from spiritsafe.drill.run import Drilled


def drilled(*, passed: bool) -> Drilled:
    outcome = Outcome(
        members=9, stopped=9 if passed else 3, honest=18, touched=0, served=500, refused=80, failed=0, tokens=6000,
        corpus=400, got=100, wanted=180, stopped_at=70.0 if passed else None, judged=9, record_intact=True,
        seconds=200.0,
        lesson=Lesson(
            account_id="acc-1", answers=40, stray=0, hindered=False, kept=0.31, interval=(0.2, 0.4), before=0.05,
            student="out/laboratory", problems=(),
        ),
        proof=Proof(
            verdict="rejects", reasons=("twins rejects",), pairs=60, p_value=2e-7, innocent_p_value=0.4, alpha=0.01,
            named=(), bundle="out/proof/proof.bundle", problems=(),
        ),
    )  # fmt: skip
    return Drilled(
        passed=passed, verdict="So it went.", outcome=outcome, report="out/report.html", data="out/data",
        setup_seconds=20.0, play_seconds=200.0, whole_seconds=230.0,
    )  # fmt: skip


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize("machine", [True, False])
def test_it_ends_as_the_drill_did_and_tells_its_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, passed: bool, machine: bool
) -> None:
    monkeypatch.setattr(run, "drill", lambda *_, **__: drilled(passed=passed))
    result = CliRunner().invoke(app, ["drill", "--out", str(tmp_path / "new"), *(["--json"] if machine else [])])
    assert result.exit_code == (0 if passed else 1)
    if machine:
        assert json.loads(result.stdout)["outcome"]["stopped"] == (9 if passed else 3)
        return
    assert "So it went." in result.stdout
    assert "500 requests, 6000 tokens" in result.stdout
    assert "40 answers, not hindered, its student kept 0.31" in " ".join(result.stdout.split())
    assert "rejects, p 2e-07 over 60 pairs (innocent: 0.4); the bundle verifies" in " ".join(result.stdout.split())
    assert ("9 of 9 ring accounts, the whole ring after 70 seconds" in result.stdout) == passed
    assert ("6 ring accounts" in result.stdout) == (not passed)
    assert "100 of 400 tasks (25%)" in result.stdout


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    result = CliRunner().invoke(app, ["drill", "--quick", "--out", str(tmp_path)])
    assert result.exit_code != 0
    assert "not empty" in str(result.exception)


def test_what_is_missing_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(verb, "find_spec", lambda name: None if name == "openai" else object())
    result = CliRunner().invoke(app, ["drill", "--out", str(tmp_path / "new")])
    assert "the drill needs openai" in str(result.exception)
    assert not (tmp_path / "new").exists()
