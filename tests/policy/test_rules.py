from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from spiritsafe.errors import ConfigError, InputError
from spiritsafe.policy.rules import default, load

GOOD = """\
version: 1
fdr: 0.05
accuses_from: throttle
appeal: write to us
rules:
  - name: one
    families: 2
    certain: fdr
    action: suspend
    needs_person: true
    meanwhile: throttle
    for: 2w
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    return [str(problem) for problem in caught.value.problems]


def test_the_default_never_acts_on_one_family() -> None:
    rules = default()
    assert all(rule.families >= 2 for rule in rules.rules if rule.action in ("throttle", "withhold", "suspend"))
    assert load(None) == rules


def test_the_default_suspends_a_ring_only_once_a_person_confirms() -> None:
    for rule in default().rules:
        if rule.action == "suspend":
            assert rule.needs_person


def test_a_file_is_read(tmp_path: Path) -> None:
    rules = load(write(tmp_path, GOOD))
    assert rules.fdr == 0.05
    assert rules.rules[0].lasts() == timedelta(weeks=2)
    assert rules.rules[0].meanwhile == "throttle"


def test_its_digest_names_it(tmp_path: Path) -> None:
    same, other = load(write(tmp_path, GOOD)), load(write(tmp_path, GOOD.replace("0.05", "0.04")))
    assert same.digest() == load(write(tmp_path, GOOD + "# a comment\n")).digest()
    assert same.digest() != other.digest()


def test_every_problem_is_named_with_its_line_and_the_valid_names(tmp_path: Path) -> None:
    text = GOOD.replace("fdr: 0.05", "fdrr: 0.05").replace("action: suspend", "action: banish")
    found = problems(tmp_path, text)
    assert len(found) == 3
    assert any("policy.yaml:2: unknown key 'fdrr'" in line and "fdr" in line for line in found)
    assert any(
        "policy.yaml:9" in line and "observe, notify, verify, throttle, withhold, suspend" in line for line in found
    )
    assert any("fdr is missing" in line for line in found)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("fdr: 0.05", "fdr: 5"), 2, "fdr is 5"),
        (("    certain: fdr\n", ""), 6, "needs certain or log10_e"),
        (("families: 2", "families: 7"), 6, "families is 7"),
        (("families: 2", "families: 1"), 6, "one family alone can't lead to suspend"),
        (("for: 2w", "for: soon"), 6, "for is 'soon'"),
        (("needs_person: true", "needs_person: false"), 6, "meanwhile without needs_person"),
        (("meanwhile: throttle", "meanwhile: suspend"), 6, "no milder than suspend"),
    ],
)
def test_what_contradicts_itself_is_named(tmp_path: Path, change: tuple[str, str], line: int, words: str) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    assert any(f"policy.yaml:{line}" in each and words in each for each in found)


def test_two_rules_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    rule = GOOD[GOOD.index("  - name") :]
    found = problems(tmp_path, GOOD + rule)
    assert any("policy.yaml:13" in each and "two rules are called 'one'" in each for each in found)


def test_a_newer_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="version 2"):
        load(write(tmp_path, GOOD.replace("version: 1", "version: 2")))
