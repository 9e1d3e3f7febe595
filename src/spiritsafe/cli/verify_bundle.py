"""``spiritsafe verify BUNDLE``: does every number follow from what is in it, and was anything changed."""

from __future__ import annotations

from pathlib import Path

import typer

from spiritsafe.cli.output import emit_json, emit_table, plain


def verify_bundle(path: Path, key: str | None, authority: Path | None, json: bool) -> int:
    """Check and print; returns the exit status, 0 if intact and 1 if broken."""
    from spiritsafe.evidence.timestamp import read_roots
    from spiritsafe.prove.verify_bundle import verify

    found = verify(path, key, read_roots(authority) if authority is not None else ())
    if json:
        emit_json(found)
        return 0 if found.verdict == "intact" else 1
    typer.echo(found.verdict)
    for problem in found.problems:
        typer.echo(plain(f"{problem.where}: {problem.message} (step {problem.step})"))
    lines: list[tuple[str, object]] = [
        ("case", found.case),
        ("its finding", found.finding),
        ("numbers computed again", found.cells or None),
        ("stamped", found.stamped),
        ("key", found.key),
    ]
    emit_table(("checked", ""), lines)
    for note in found.notes:
        typer.echo(plain(f"note: {note}"))
    return 0 if found.verdict == "intact" else 1
