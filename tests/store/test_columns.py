"""Times and texts come back the same from both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from spiritsafe.store.columns import SafeText, UtcTime, storable

DIALECTS = [sqlite.dialect(), postgresql.dialect()]
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
@given(moment=st.datetimes(timezones=ZONES).filter(lambda t: 2 < t.year < 9999))
def test_a_time_comes_back_in_utc(dialect, moment: datetime) -> None:
    kept = UtcTime().process_bind_param(moment, dialect)
    assert (kept.tzinfo is None) is (dialect.name == "sqlite")
    back = UtcTime().process_result_value(kept, dialect)
    assert back == moment
    assert back.tzinfo is UTC


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_no_time_stays_none_and_one_without_a_zone_is_refused(dialect) -> None:
    assert UtcTime().process_bind_param(None, dialect) is None
    assert UtcTime().process_result_value(None, dialect) is None
    with pytest.raises(ValueError, match="without a zone"):
        UtcTime().process_bind_param(datetime(2026, 1, 1), dialect)  # noqa: DTZ001


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_text_becomes_storable_and_keeps_its_length(text: str) -> None:
    made = storable(text)
    made.encode("utf-8")
    assert "\x00" not in made
    assert len(made) == len(text)
    assert storable(made) == made


def test_only_what_no_database_holds_is_replaced() -> None:
    assert storable("a\x00b\ud800c") == "a\ufffdb\ufffdc"
    assert storable("\x01 é 漢 \U0001f600") == "\x01 é 漢 \U0001f600"
    assert SafeText().process_bind_param("\x00", DIALECTS[0]) == "\ufffd"
    assert SafeText().process_bind_param(None, DIALECTS[0]) is None
