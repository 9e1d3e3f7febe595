"""What a verb prints: JSON for machines, a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def emit_json(value: Any) -> None:
    """Print ``value`` (built-in types or msgspec structs) as one JSON document."""
    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def emit_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Print rows for people; a missing value is shown as a dash."""
    table = Table(*columns, title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*("-" if cell is None else str(cell) for cell in row))
    Console(soft_wrap=True).print(table)
