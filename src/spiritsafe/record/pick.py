"""Looking into a log: the last exchanges of some accounts, and single rows by their number."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import manifest, signed
from spiritsafe.record.canonical import open_row
from spiritsafe.record.layout import layout
from spiritsafe.record.reader import Cursor, read

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.canonical import Row
    from spiritsafe.record.exchange import Exchange

_TRIES, _PAUSE = 20, 0.01


class _Owner(msgspec.Struct):
    account_id: str


_owner = msgspec.json.Decoder(_Owner)


def of_accounts(
    folder: Path, accounts: Collection[str], *, each: int, rows: int = 2_000_000
) -> list[tuple[int, Exchange]]:
    """The last ``each`` exchanges of every one of ``accounts`` with their row numbers, in their order.

    Reads backwards, a segment's account column first, and no further than about ``rows`` rows or until all are
    complete. Raises as ``read`` does.
    """
    for _ in range(_TRIES):
        try:
            return _of_accounts(folder, frozenset(accounts), each, rows)
        except FileNotFoundError:  # rolled or pruned since it was listed: look where it went
            time.sleep(_PAUSE)
    raise BrokenRecord("a file of the record is missing", remedy=signed.REMEDY, where=str(folder))


def at_rows(folder: Path, rows: Sequence[int]) -> dict[int, Exchange]:
    """The exchanges that stand in these rows; a row that there isn't is left out."""
    found = {}
    for number in sorted(set(rows)):
        at, exchange = next(read(folder, start=number), (-1, None))
        if at == number and exchange is not None:
            found[number] = exchange
    return found


def _of_accounts(folder: Path, accounts: frozenset[str], each: int, most: int) -> list[tuple[int, Exchange]]:
    left = dict.fromkeys(accounts, each)
    found: list[tuple[int, Exchange]] = []
    looked = 0
    for size, rows in _backwards(folder, accounts):
        looked += size
        for number, row in reversed(rows):
            name = _owner.decode(row.envelope).account_id
            if left.get(name, 0):
                left[name] -= 1
                found.append((number, open_row(row)))
        if looked >= most or not any(left.values()):
            break
    return found[::-1]


def _backwards(folder: Path, accounts: frozenset[str]) -> Iterator[tuple[int, list[tuple[int, Row]]]]:
    """How many rows were looked at, and those of the accounts among them: the journals', then each row group's."""
    made = [manifest.peek(path) for _, path in sorted(layout(folder).manifests.items())]
    cursor = Cursor(folder, made[-1].stop if made else 0)
    size, rows = 0, list[tuple[int, "Row"]]()
    try:
        while batch := cursor.batch():
            size += len(batch)
            rows += [(at, row) for at, row in batch if _owner.decode(row.envelope).account_id in accounts]
    finally:
        cursor.close()
    yield size, rows
    for each in reversed(made):
        from spiritsafe.record.segment import tables_of  # noqa: PLC0415 - pyarrow is loaded only for segments

        for size, stored in tables_of(folder / each.file.name, accounts):
            yield size, [(one.number, one.row) for one in stored]
