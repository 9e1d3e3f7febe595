"""A small drill, end to end: the real gateway, watcher, record, store and client before a tiny model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.drill import run
from spiritsafe.drill.run import Drilled
from spiritsafe.drill.scenario import Size
from spiritsafe.errors import ResourceError
from spiritsafe.record.verify import verify
from spiritsafe.store import open_store


def test_the_ring_is_stopped_and_the_honest_are_not(drilled: Drilled) -> None:
    assert drilled.verdict == "The ring was stopped. No honest account was touched."
    assert drilled.passed
    outcome = drilled.outcome
    assert (outcome.stopped, outcome.touched) == (8, 0)
    assert outcome.refused > 0, "what the ring asked for afterwards was refused"
    assert 0 < outcome.got < outcome.wanted


def test_the_record_it_leaves_is_intact_and_sealed(drilled: Drilled) -> None:
    checked = verify(Path(drilled.data) / "record")
    assert checked.verdict == "intact"
    outcome = drilled.outcome
    assert checked.rows == outcome.served + outcome.refused + outcome.failed + outcome.lesson.answers
    assert checked.signed == checked.rows


def test_the_decision_was_the_watchers_and_the_confirmation_a_persons(drilled: Drilled) -> None:
    with open_store(f"sqlite:///{drilled.data}/spiritsafe.db") as store:
        suspended = [d for d in store.decisions() if d.subject_kind == "ring" and d.action == "suspend"]
    assert suspended
    for decision in suspended:
        assert decision.by.startswith("policy:")
        assert [event.kind for event in decision.events][:2] == ["decided", "confirmed"]
        assert len({evidence.family for evidence in decision.evidence}) >= 2


def test_the_report_and_the_result_are_written(drilled: Drilled) -> None:
    page = Path(drilled.report).read_text(encoding="utf-8")
    assert drilled.verdict in page
    assert f"{drilled.outcome.served:,}" in page
    written = (Path(drilled.report).parent / "drill.json").read_bytes()
    assert msgspec.json.decode(written, type=Drilled) == drilled


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path, small: Size) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ResourceError, match="not empty"):
        run.drill(tmp_path, small, 1, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_of_an_earlier_drill_is_used_again(tmp_path: Path) -> None:
    data = run._prepare(tmp_path)
    (data / "old").write_text("x")
    (tmp_path / "report.html").write_text("x")
    (tmp_path / "mine.txt").write_text("kept")
    assert run._prepare(tmp_path) == data
    assert sorted(path.name for path in tmp_path.iterdir()) == [run.MARK, "data", "mine.txt"]
    assert list(data.iterdir()) == []


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path, small: Size) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match=r"--out"):
        run.drill(tmp_path / "file" / "out", small, 1, quiet=True)
