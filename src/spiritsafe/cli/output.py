"""What a verb prints: JSON for machines, a table for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def emit_json(value: Any) -> None:
    """Print ``value`` (built-in types or msgspec structs) as one JSON document."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


NARROW = 20

# Names and appeals are typed by strangers: what would move the cursor or change the terminal is not passed on.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """``text`` with control characters shown as U+FFFD; line ends and tabs stay."""
    return _CONTROL.sub("\ufffd", text)


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows for people, as plain text; a missing value is shown as a dash, a time to the minute.

    Short cells and single words (identifiers, which people copy) are never cut or wrapped; a terminal too
    narrow for them gets longer lines. Only prose is fitted to its width.
    """
    lines = [[plain(_shown(cell)) for cell in row] for row in rows]
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left")
    table.title = None if title is None else Text(plain(title))
    needed = 0
    for i, name in enumerate(columns):
        cells = [plain(name), *(line[i] for line in lines)]
        width = max(map(cell_len, cells))
        solid = width <= NARROW or not any(re.search(r"\s", cell) for cell in cells)
        table.add_column(Text(plain(name)), no_wrap=solid, overflow="fold")
        needed += (width if solid else NARROW) + 2
    for line in lines:
        table.add_row(*map(Text, line))
    console = Console(soft_wrap=True)
    console.width = max(console.width, needed)
    console.print(table)


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, datetime):
        return f"{cell.astimezone(UTC):%Y-%m-%d %H:%M}Z"
    return str(cell)
