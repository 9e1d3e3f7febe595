"""Stage 7: hand it over, signed."""

from __future__ import annotations

from spiritsafe.distill import seal
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.verify_student import verify_student
from spiritsafe.errors import BrokenRecord


def step(run: Run, report: Report) -> Made:
    """Seal the trained student and verify what was written. Raises what ``seal`` raises."""
    report("seal: weights, card and lineage", 0.1, None)
    sealed = seal.seal(run, run.path("train") / "model")
    report("seal: verifying", 0.9, None)
    found = verify_student(sealed.folder, key=sealed.key.fingerprint)
    if found.problems:
        raise BrokenRecord(
            str(found.problems[0]), remedy="Check the disk, then run again with --resume.", where=str(sealed.folder)
        )
    counts: dict[str, int | float | str] = {
        "name": sealed.folder.name,
        "files": len(sealed.outputs),
        "parameters": sealed.exported.parameters,
        "gguf": sealed.gguf or "",
        "key": sealed.key.fingerprint,
        "key_origin": "fresh" if sealed.fresh else "own",
    }
    return Made(sealed.outputs, counts)
