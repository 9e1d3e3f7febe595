"""Rows come back from Parquet byte for byte, and the columns can be scanned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import canonical, segment
from spiritsafe.record.exchange import CONTENT_FIELDS, Exchange
from spiritsafe.record.journal import Entry

Make = Callable[..., Exchange]


def save(path: Path, entries: list[Entry], chunk: int = 64) -> None:
    writer = segment.Writer(path)
    for at in range(0, len(entries), chunk):
        writer.add(segment.columns(entries[at : at + chunk]))
    writer.close()


def load(path: Path, start: int = 0) -> list[segment.Stored]:
    return [stored for table in segment.read_tables(path, start) for stored in segment.rows(table)]


def entries(make: Make, count: int) -> list[Entry]:
    return [Entry(n, canonical.seal(make(n)), n.to_bytes(32, "big")) for n in range(count)]


@settings(max_examples=40)
@given(data=st.data())
def test_any_row_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, exchanges: st.SearchStrategy[Exchange], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("segment") / "s.parquet"
    drawn = data.draw(st.lists(exchanges, min_size=1, max_size=4))
    given_rows = [Entry(n, canonical.seal(exchange), bytes(32)) for n, exchange in enumerate(drawn)]
    save(path, given_rows)
    assert [stored.row for stored in load(path)] == [entry.row for entry in given_rows]


def test_numbers_and_marks_stand_beside_the_rows(tmp_path: Path, make: Make) -> None:
    save(tmp_path / "s.parquet", entries(make, 3))
    assert [(s.number, s.mark) for s in load(tmp_path / "s.parquet")] == [(n, bytes(8)) for n in range(3)]


def test_reading_can_begin_later(tmp_path: Path, make: Make) -> None:
    save(tmp_path / "s.parquet", entries(make, 2 * segment.ROW_GROUP), chunk=segment.ROW_GROUP)
    assert load(tmp_path / "s.parquet", segment.ROW_GROUP + 5)[0].number == segment.ROW_GROUP


def test_the_columns_can_be_scanned(tmp_path: Path, make: Make) -> None:
    pruned = entries(make, 2)
    pruned[1] = pruned[1]._replace(row=pruned[1].row._replace(content=None, salt=None))
    save(tmp_path / "s.parquet", pruned)
    frame = pl.read_parquet(tmp_path / "s.parquet")
    assert frame.columns == list(segment.column_kinds())
    assert frame["time"].to_list()[0] == datetime(2026, 3, 2, tzinfo=UTC)
    assert frame["prompt_tokens"].to_list() == [0, 1]
    assert frame["params"].to_list() == ['{"temperature":0.7}'] * 2
    assert frame["pruned"].to_list() == [False, True]
    assert all(frame[name].to_list()[1] is None for name in (*CONTENT_FIELDS, "salt"))


def test_an_abandoned_segment_leaves_nothing(tmp_path: Path, make: Make) -> None:
    writer = segment.Writer(tmp_path / "s.parquet")
    writer.add(segment.columns(entries(make, 1)))
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_segment_says_so(tmp_path: Path) -> None:
    (tmp_path / "s.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(BrokenRecord, match=r"s\.parquet: the segment can't be read"):
        load(tmp_path / "s.parquet")
    pl.DataFrame({"row": [1]}).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(BrokenRecord, match=r"t\.parquet"):
        load(tmp_path / "t.parquet")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.parquet")
