"""Other people's logs, one file a form. A new one: its file, and its line in ``_OURS``.

Other packages add theirs by entry point, group ``spiritsafe.importers``; the conformance suite
(``tests/record/importers/test_conformance.py``) takes each member through the same checks.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from spiritsafe.errors import UsageError
from spiritsafe.record.importers.types import Found, Importer, Item, Options, Read

_OURS = ("litellm", "otel", "openai", "vllm", "parquet", "jsonl")
GROUP = "spiritsafe.importers"


def names() -> list[str]:
    """Return the names of all forms there are."""
    return [*_OURS, *sorted({entry.name for entry in entry_points(group=GROUP)} - set(_OURS))]


def importer(name: str) -> Importer:
    """Return the importer of this name. Raises UsageError that lists the valid ones."""
    if name in _OURS:
        found: Importer = import_module(f"spiritsafe.record.importers.{name}").IMPORTER
        return found
    for entry in entry_points(group=GROUP, name=name):
        loaded: Importer = entry.load()
        return loaded
    raise UsageError(f"there is no importer {name!r}", remedy=f"Give one of: {', '.join(names())}", where="--from")


__all__ = ["Found", "Importer", "Item", "Options", "Read", "importer", "names"]
