from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.recipe import read_recipe
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.terms import read_permission
from spiritsafe.drill import laboratory
from spiritsafe.drill.laboratory import Laboratory
from spiritsafe.drill.run import Drilled
from spiritsafe.drill.scenario import QUICK
from spiritsafe.errors import ResourceError
from spiritsafe.record.reader import read
from spiritsafe.store import open_store

SIZE = msgspec.structs.replace(QUICK, lessons=4, layers=1, schooling=0.05)


def test_it_asks_through_the_gateway_under_its_grant(drilled: Drilled) -> None:
    lesson = drilled.outcome.lesson
    mine = [e for _, e in read(Path(drilled.data) / "record") if e.account_id == lesson.account_id]
    with open_store(f"sqlite:///{drilled.data}/spiritsafe.db") as store:
        (grant,) = store.grants()
        touched = [d for d in store.decisions() if lesson.account_id in d.accounts]
    assert {e.grant_id for e in mine} == {grant.grant_id}
    assert len(mine) == lesson.answers == 15
    assert not touched


def test_its_student_is_measured_and_its_lineage_names_the_grant(drilled: Drilled) -> None:
    lesson = drilled.outcome.lesson
    assert lesson.kept is not None
    assert lesson.problems == ()
    permission = read_permission(Run.open(Path(lesson.student).parent.parent))
    assert permission.grant is not None
    assert permission.grant.issuer == laboratory.PROVIDER


def test_a_byte_of_its_student_changed_is_named(drilled: Drilled, tmp_path: Path) -> None:
    lab = Laboratory(drilled.outcome.lesson.account_id, "", Path(drilled.data).parent / laboratory.NAME)
    weights = Path(drilled.outcome.lesson.student) / "model.safetensors"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        problems = laboratory.lesson(lab, [], []).problems
    finally:
        weights.write_bytes(whole)
    assert any("model.safetensors" in problem for problem in problems)


def test_what_its_run_said_last_is_told_when_it_fails(tmp_path: Path) -> None:
    lab = Laboratory("acc-1", "sk-none", tmp_path)
    recipe = laboratory.write_recipe(lab, "http://127.0.0.1:9", "m", "smollm2", SIZE, 1)
    assert read_recipe(recipe).collect.concurrency == 4
    with pytest.raises(ResourceError, match=r"distill\.log.*ended with 1"):
        laboratory.collect(lab, recipe)
