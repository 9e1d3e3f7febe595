"""Exchanges as JSON, one a line: our own, or rows with the columns of our Parquet form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import InputError, Problem
from spiritsafe.record.canonical import decode
from spiritsafe.record.importers.lines import json_documents
from spiritsafe.record.importers.rows import from_row
from spiritsafe.record.importers.types import Importer, Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Read lines: one with a ``version`` is an exchange as we write it, any other a row (``rows.from_row``)."""
    for path in paths:
        for found in json_documents(path):
            if isinstance(found, Problem):
                yield found
                continue
            where, row = found
            if "version" not in row:
                yield from_row(row, where, options)
                continue
            try:
                yield Item(where, decode(msgspec.json.encode(row), where))
            except InputError as error:
                yield Problem(where, error.message, error.remedy)


IMPORTER = Importer("jsonl", "exchanges or rows as JSON, one a line", read)
