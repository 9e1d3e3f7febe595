from __future__ import annotations

from collections.abc import Callable

import pytest

from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.seal import step
from spiritsafe.errors import BrokenRecord

RunMaker = Callable[..., Run]


def test_the_stage_seals_and_verifies(finished_run: RunMaker) -> None:
    run = finished_run()
    told: list[float] = []
    made = step(run, lambda what, share, left: told.append(share))
    assert told == sorted(told)
    assert made.counts["gguf"] == "student-F16.gguf"
    assert made.counts["key_origin"] == "fresh"
    assert made.counts["files"] == len(made.outputs)
    manifest = run.finish("seal", made.outputs, made.counts, 1.0)
    assert "student/model.sig" in manifest.outputs
    assert run.stale("seal") is None


def test_a_changed_student_makes_the_stage_stale(finished_run: RunMaker) -> None:
    run = finished_run()
    made = step(run, lambda *now: None)
    run.finish("seal", made.outputs, made.counts, 1.0)
    path = run.folder / "seal" / "student" / "README.md"
    path.write_text(path.read_text() + "x")
    assert run.stale("seal") == "student/README.md is not what the stage wrote"


def test_what_does_not_verify_is_not_done(finished_run: RunMaker) -> None:
    """A disk that gives back other bytes than were written."""
    run = finished_run()

    def rot(what: str, share: float, left: float | None) -> None:
        if what == "seal: verifying":
            path = run.folder / "seal" / "student" / "model.safetensors"
            path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(BrokenRecord, match=r"model\.safetensors: its bytes are not those that were signed"):
        step(run, rot)
