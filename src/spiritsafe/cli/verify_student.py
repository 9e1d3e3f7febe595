"""``spiritsafe verify STUDENT``: is a sealed student as it was signed, and was it allowed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spiritsafe.cli.output import emit_json, emit_table, plain
from spiritsafe.cli.progress import progress
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from spiritsafe.distill.verify_student import Verification


def verify_student(folder: Path, key: str | None, json: bool) -> int:
    """Check and print; returns the exit status, 0 if intact and 1 if broken. ``key`` is a fingerprint or a file."""
    from spiritsafe.distill.verify_student import verify_student as check

    expected = None if key is None else _fingerprint(key)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    with progress("verify", size, "bytes") as tell:
        found = check(folder, key=expected, progress=lambda done, of: tell(done))
    if json:
        emit_json(found)
    else:
        _tell(found)
    return 0 if found.verdict == "intact" else 1


def _fingerprint(key: str) -> str:
    from spiritsafe.evidence.signing import PublicKey

    path = Path(key)
    if not path.is_file():
        return key
    try:
        return PublicKey.read(path.read_bytes(), key).fingerprint
    except OSError as error:
        raise InputError(f"the key can't be read: {error.strerror}", remedy="Check --key", where=key) from error


def _tell(found: Verification) -> None:
    typer.echo(found.verdict)
    for problem in found.problems:
        typer.echo(plain(f"{problem} (step {problem.step})"))
    lines: list[tuple[str, object]] = [("files", found.files), ("key", found.key)]
    if (said := found.lineage) is not None:
        teacher = said.teacher
        lines += [
            ("student", said.name),
            ("sealed", said.made),
            ("teacher", teacher.name),
            ("distilling from it", f"{teacher.verdict}, asked on {teacher.checked:%Y-%m-%d}"),
            ("grant", None if teacher.grant is None else f"{teacher.grant.grant_id} by {teacher.grant.issuer}"),
            ("conditions", len(teacher.conditions)),
            ("stages", ", ".join(stage.stage for stage in said.stages)),
            ("code", said.code),
        ]
    emit_table(("checked", ""), lines)
    for note in found.notes:
        typer.echo(plain(f"note: {note}"))
