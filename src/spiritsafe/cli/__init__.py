"""The command line. One file a verb; each has ``register(app)``."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated

import typer

from spiritsafe import __version__
from spiritsafe.errors import SpiritsafeError

VERBS: tuple[str, ...] = (
    "serve",
    "account",
    "key",
    "grant",
    "case",
    "decision",
    "policy",
    "record",
    "ingest",
    "scan",
    "calibrate",
    "mark",
    "prove",
    "verify",
    "teach",
    "terms",
    "cost",
    "distill",
    "drill",
)

app = typer.Typer(
    name="spiritsafe",
    help="Distil with permission. Catch it without.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"spiritsafe {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Distil with permission. Catch it without."""


for verb in VERBS:
    import_module(f"spiritsafe.cli.{verb}").register(app)


def main() -> None:
    """Run the command line; our own errors print their remedy and set the exit code, without a traceback."""
    # A model's threads wait quietly, in this process and in those it starts: on a busy machine, threads that spin
    # while they wait for one another slow a teacher down by ten and more. OpenMP reads this when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except SpiritsafeError as error:
        typer.echo(f"spiritsafe: {error}", err=True)
        sys.exit(error.exit_code)
