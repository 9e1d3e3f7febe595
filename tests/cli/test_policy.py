from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spiritsafe.policy.rules import default

Run = Callable[..., object]


def test_the_policy_that_ships_is_shown(run: Callable[..., object]) -> None:
    done = run("policy", "show")
    assert done.code == 0
    for rule in default().rules:
        assert rule.name in done.out
    assert "False discovery rate 0.01" in done.out
    shown = run("policy", "show", "--json").json
    assert shown["policy"] == default().digest()
    assert len(shown["rules"]) == len(default().rules)


def test_a_file_is_shown_and_checked(run: Callable[..., object], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "version: 1\nfdr: 0.02\naccuses_from: throttle\nappeal: write\nrules:\n"
        "  - {name: only, families: 2, certain: fdr, action: throttle}\n"
    )
    assert "only" in run("policy", "show", str(path)).out
    assert "valid, 1 rules" in run("policy", "check", str(path)).out
    assert run("policy", "check", str(path), "--json").json["verdict"] == "valid"


def test_every_problem_of_a_file_is_printed_with_its_line(run: Callable[..., object], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "version: 1\nfdr: lots\naccuses_from: throttle\nappeals: write\nrules:\n"
        "  - {name: only, famlies: 2, certain: fdr, action: ban}\n"
    )
    done = run("policy", "check", str(path))
    assert done.code == 2
    assert "mine.yaml:2" in done.err
    assert "mine.yaml:4" in done.err
    assert done.err.count("mine.yaml:6") == 2
    assert "Did you mean 'families'" in done.err


def test_a_missing_file_is_named(run: Callable[..., object]) -> None:
    done = run("policy", "check", "nowhere.yaml")
    assert done.code == 2
    assert "nowhere.yaml" in done.err
