from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import BrokenRecord, ConfigError, InputError
from spiritsafe.protect.twins import commitment
from spiritsafe.prove.plan import code_digest, code_files, make_plan, plan_from, read_case, read_published, windows

KEY = bytes(range(32))
NOW = datetime(2026, 11, 20, tzinfo=UTC)
YAML = """
name: ring-7
subject: a model
alpha: 0.001
stopping: anytime
tests:
  - test: twins
    inputs: pairs.jsonl
    secret: twins.key
    commitment: commitment.json
    options: {epoch: 2026-11, access: text}
"""


def test_a_plan_names_all_that_could_be_chosen_to_please(affair) -> None:
    plan = make_plan(affair.case(), affair.folder, NOW)
    assert (plan.alpha, plan.stopping, plan.controls, plan.decoys, plan.made) == (0.01, "fixed", 1, 3, NOW)
    (part,) = plan.parts
    assert (part.n, part.unit, part.reference) == (80, "pairs", True)
    assert part.published.digest == commitment(KEY, "2026-11")
    assert KEY.hex() not in plan.data.decode()
    assert windows(plan.parts) == ("2026-11-02 to 2026-11-02",)
    assert plan_from(plan.data, "plan") == plan


def test_whatever_changes_changes_its_digest(affair) -> None:
    plan = make_plan(affair.case(), affair.folder, NOW)
    assert make_plan(affair.case(), affair.folder, NOW).digest == plan.digest
    others = [affair.case(alpha=0.05), affair.case(stopping="anytime"), affair.case(decoys=4), affair.case(seed=2)]
    assert len({plan.digest, *(make_plan(case, affair.folder, NOW).digest for case in others)}) == 5


def test_a_key_used_before_it_was_committed_to_is_named(affair) -> None:
    affair.publish(datetime(2026, 11, 10, tzinfo=UTC), commitment(KEY, "2026-11"))
    with pytest.raises(BrokenRecord, match=r"a key used before it was committed.*younger than the data"):
        make_plan(affair.case(), affair.folder, NOW)


def test_another_key_than_was_published_is_named(affair) -> None:
    affair.publish(datetime(2026, 11, 1, tzinfo=UTC), commitment(bytes(32), "2026-11"))
    with pytest.raises(BrokenRecord, match="not the one that was committed to"):
        make_plan(affair.case(), affair.folder, NOW)


def test_a_commitment_younger_than_the_plan_is_named(affair) -> None:
    with pytest.raises(BrokenRecord, match="committed to after the plan was made"):
        make_plan(affair.case(), affair.folder, datetime(2026, 11, 1, tzinfo=UTC) - timedelta(days=1))


@pytest.mark.parametrize(("name", "words"), [("pairs.jsonl", "no inputs"), ("commitment.json", "no commitment")])
def test_a_missing_file_is_named(affair, name: str, words: str) -> None:
    (affair.folder / name).unlink()
    with pytest.raises(InputError, match=words):
        make_plan(affair.case(), affair.folder, NOW)


def test_a_case_is_read_from_yaml_with_every_problem_at_once(tmp_path: Path) -> None:
    path = tmp_path / "case.yaml"
    path.write_text(YAML)
    case = read_case(path)
    assert (case.alpha, case.stopping, case.tests[0].options.epoch) == (0.001, "anytime", "2026-11")
    path.write_text(YAML.replace("alpha: 0.001", "alpha: 2").replace("inputs:", "input:"))
    with pytest.raises(ConfigError) as caught:
        read_case(path)
    assert len(caught.value.problems) >= 2
    path.write_text("name: a\nsubject: b\ntests: []\n")
    with pytest.raises(InputError, match="no tests"):
        read_case(path)


def test_a_commitment_may_carry_more_than_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"digest": "ab", "time": "2026-11-01T00:00:00Z", "epoch": 3, "mark": "kgw"}))
    assert read_published(path).digest == "ab"


def test_the_code_that_makes_the_numbers_is_named_file_by_file() -> None:
    files = code_files()
    assert {"prove/twins.py", "protect/twins.py", "stats/result.py"} <= files.keys()
    assert code_digest() == code_digest(files)
    assert code_digest({**files, "prove/twins.py": "0" * 64}) != code_digest()


@pytest.mark.parametrize("change", [b"{}", b" ", b"nonsense"])
def test_bytes_that_are_no_plan_are_named(affair, change: bytes) -> None:
    data = make_plan(affair.case(), affair.folder, NOW).data
    with pytest.raises(BrokenRecord, match="plan"):
        plan_from(change, "plan.json")
    with pytest.raises(BrokenRecord):
        plan_from(data + b" ", "plan.json")
    assert msgspec.json.decode(data)["case"] == "ring-7"
