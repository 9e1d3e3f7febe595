"""Transactions and checks that all parts of the store share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET
from sqlalchemy import text

from spiritsafe.errors import UsageError
from spiritsafe.store.base import LARGEST, given, missing, need_counts, need_future, need_text, need_zone, utcnow

if TYPE_CHECKING:
    from spiritsafe.store import Store

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_a_write_is_kept_whole_or_not_at_all(store: Store) -> None:
    line = text("INSERT INTO cases VALUES (:id, :id, '2026-03-02 12:00:00', 'open')")
    with store._write() as connection:
        connection.execute(line, {"id": "kept"})

    def interrupted() -> None:
        with store._write() as connection:
            connection.execute(line, {"id": "lost"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store._read() as connection:
        assert connection.execute(text("SELECT case_id FROM cases")).scalars().all() == ["kept"]


def test_a_read_changes_nothing(store: Store) -> None:
    with store._read() as connection:
        connection.execute(text("UPDATE generation SET value = 99"))
    assert store.generation() == 0


def test_only_what_is_set_is_given() -> None:
    assert given(a=1, b=None, c=UNSET) == {"a": 1, "b": None}


def test_what_is_missing_is_named_with_where_to_look() -> None:
    assert str(missing("grant", "grt_1")) == "there is no grant 'grt_1'. 'spiritsafe grant list' shows those there are."


def test_text_says_something() -> None:
    need_text(name="x", reason=" y ")
    with pytest.raises(UsageError, match="the reason is empty"):
        need_text(name="x", reason="\t")


def test_counts_are_positive_and_fit_everywhere() -> None:
    need_counts({"a": None, "b": 1, "c": LARGEST})
    for wrong in (0, -1, LARGEST + 1):
        with pytest.raises(UsageError, match="tokens per day can't be"):
            need_counts({"tokens_per_day": wrong})


def test_ends_lie_ahead_in_a_known_zone() -> None:
    need_future("the end", None, NOW)
    need_future("the end", NOW + timedelta(microseconds=1), NOW)
    need_zone("the end", NOW)
    with pytest.raises(UsageError, match="the end is in the past"):
        need_future("the end", NOW, NOW)
    with pytest.raises(UsageError, match="the end has no time zone"):
        need_future("the end", NOW.replace(tzinfo=None), NOW)


def test_the_clock_speaks_utc() -> None:
    assert utcnow().tzinfo is UTC
