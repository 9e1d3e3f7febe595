"""Times, counts and people, as they are typed."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.cli.values import duration, moment, number, person
from spiritsafe.errors import UsageError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        (" 7 d ", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_lengths_of_time(text: str, length: timedelta) -> None:
    assert duration(text) == length
    assert moment(text, NOW) == NOW + length


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "1y", "1.5h", "10000000000d", "9999999999999s"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageError, match="no length of time") as caught:
        duration(text)
    assert "90d" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:30", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        ("2027-01-31T12:30Z", datetime(2027, 1, 31, 12, 30, tzinfo=UTC)),
        ("2027-01-31T12:30+02:00", datetime(2027, 1, 31, 10, 30, tzinfo=UTC)),
        ("none", None),
        ("None", None),
        (None, None),
    ],
)
def test_points_in_time(text: str | None, when: datetime | None) -> None:
    found = moment(text, NOW)
    assert found == when
    assert found is None or found.tzinfo is not None


@pytest.mark.parametrize("text", ["tomorrow", "", "2027-13-01", "31.01.2027", "90 days"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        moment(text, NOW)


def test_a_time_beyond_all_calendars_is_refused() -> None:
    with pytest.raises(UsageError, match="too far away"):
        moment("9999999d", NOW)


@given(st.integers(0, 10**18 - 1))
def test_numbers_read_back_with_and_without_separators(n: int) -> None:
    assert number(str(n)) == number(f"{n:,}") == number(f"{n:_}") == n


def test_no_number_is_none() -> None:
    assert number(None) is None
    assert number("none") is None


@pytest.mark.parametrize("text", ["", "ten", "-1", "1.5", "1e6", "1__0", "_1", "1" * 19, "٣"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(UsageError, match="no whole number"):
        number(text)


def test_a_person_is_who_runs_the_program_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert person("ann") == "ann"
    monkeypatch.setenv("LOGNAME", "bob")
    assert person(None) == "bob"

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    with pytest.raises(UsageError, match="nobody knows who you are") as caught:
        person(None)
    assert "--by" in caught.value.remedy
