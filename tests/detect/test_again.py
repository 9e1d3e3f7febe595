"""Some accounts' last exchanges are read again, from whatever a scan reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.detect.again import EXCERPT, Again, excerpt, from_log, from_record
from spiritsafe.detect.log import open_log
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.store.models import Grant

START = datetime(2026, 3, 2, tzinfo=UTC)
PARTS = frozenset({"ngrams"})


def texts_of(again: Again, account: str) -> list[str | None]:
    return [again.texts[at] for at in again.of(account)]


@pytest.fixture
def days(tmp_path: Path) -> Path:
    """Two files, twenty exchanges each, of accounts a to d; the last of the first file comes again in the second."""
    rows = [
        {
            "exchange_id": f"x{min(n, 39)}" if n != 20 else "x19",
            "account_id": "abcd"[n % 4] if n != 20 else "d",
            "time": START.replace(tzinfo=None) + timedelta(hours=n),
            "prompt": f"what is {n}" if n != 20 else "what is 19",
            "model": "small",
        }
        for n in range(40)
    ]
    for part in range(2):
        pl.DataFrame(rows[20 * part : 20 * part + 20]).write_parquet(tmp_path / f"day-{part}.parquet", row_group_size=7)
    return tmp_path


def test_the_last_exchanges_of_each_are_read_over_all_files(days: Path) -> None:
    again = from_log(open_log([str(days)]), ["a", "c", "nobody"], PARTS, each=7, grants=())
    assert texts_of(again, "a") == [f"what is {n}" for n in (8, 12, 16, 24, 28, 32, 36)]
    assert texts_of(again, "c") == [f"what is {n}" for n in range(14, 40, 4)]
    assert again.of("nobody").tolist() == []
    one = again.telling(int(again.of("a")[-1]), 0.25)
    assert (one.account_id, one.exchange_id, one.text, one.share, one.row) == ("a", "x36", "what is 36", 0.25, None)
    assert one.time == START + timedelta(hours=36)


def test_what_came_twice_is_read_once_and_what_a_grant_covers_not_at_all(days: Path) -> None:
    log = open_log([str(days)])
    grant = Grant(grant_id="g", account_id="a", model="*", purpose="distil", by="x", created=START)
    again = from_log(log, ["a", "d"], PARTS, each=99, grants=[grant])
    assert texts_of(again, "a") == []
    assert texts_of(again, "d").count("what is 19") == 1


def test_a_log_without_ids_or_times_is_read(tmp_path: Path) -> None:
    pl.DataFrame({"account_id": ["a", "b"], "prompt": ["one", None]}).write_parquet(tmp_path / "x.parquet")
    again = from_log(open_log([str(tmp_path / "x.parquet")]), ["a", "b"], PARTS, each=9, grants=())
    one, other = (again.telling(int(again.of(name)[0]), 1.0) for name in "ab")
    assert (one.exchange_id, one.time, one.text) == (None, None, "one")
    assert other.text is None
    nobody = from_log(open_log([str(tmp_path / "x.parquet")]), [], PARTS, each=9, grants=())
    assert len(nobody.batch) == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    with SealedLog.open(tmp_path / "data" / "record", pace=0.0) as log:
        for n in range(30):
            one = Exchange(
                exchange_id=f"r{n}",
                time=START + timedelta(minutes=n),
                account_id="abc"[n % 3],
                messages=(Message("user", f"what is {n}"),),
                grant_id="g" if n == 28 else None,
            )
            log.append(one).result()
            if n == 20:
                log.roll()
    return tmp_path / "data"


def test_of_a_record_the_rows_are_known_and_the_text_only_if_wanted(data: Path) -> None:
    again = from_record(data / "record", ["b"], PARTS, each=4)
    assert [again.rows[at] for at in again.of("b")] == [19, 22, 25]  # row 28 was under a grant
    assert set(again.texts) == {None}
    assert again.telling(0, 1.0).row == 19
    assert texts_of(from_record(data / "record", ["b"], PARTS, each=4, texts=True), "b")[0] == "what is 19"


def test_a_record_alone_gives_rows_and_one_beside_files_gives_none(data: Path, days: Path) -> None:
    alone = from_log(open_log([str(data)]), ["b"], PARTS, each=2, grants=())
    assert [alone.rows[at] for at in alone.of("b")] == [25]
    beside = from_log(open_log([str(days / "day-0.parquet"), str(data)]), ["b"], PARTS, each=11, grants=())
    assert texts_of(beside, "b") == [f"what is {n}" for n in (13, 17, 1, 4, 7, 10, 13, 16, 19, 22, 25)]
    assert set(beside.rows) == {None}


def test_long_texts_are_cut_and_stand_on_one_line() -> None:
    assert excerpt("a\n b\t c") == "a b c"
    assert len(excerpt("word " * 1000)) == EXCERPT + 3
