"""What people type on the command line, read: times, counts, who they are."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta

from spiritsafe.errors import UsageError

NONE = "none"
"""What is typed to take a value away."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """A length of time such as ``30m``, ``12h``, ``90d`` or ``2w``."""
    found = re.fullmatch(r"\s*(\d{1,9})\s*([smhdw])\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is no length of time", remedy="Write a number and s, m, h, d or w, such as 90d.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str | None, now: datetime) -> datetime | None:
    """A point in time: a length of time from ``now``, or a date or time in ISO 8601 (UTC unless it says otherwise).

    ``none`` and no text at all are None.
    """
    if text is None or text.strip().lower() == NONE:
        return None
    if re.fullmatch(r"\s*\d+\s*[smhdw]\s*", text):
        try:
            return now + duration(text)
        except OverflowError as error:
            raise UsageError(f"{text!r} is too far away", remedy="Give a time before the year 10000.") from error
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError as error:
        remedy = "Write 90d or 12h from now, or 2027-01-31, or 2027-01-31T12:00Z."
        raise UsageError(f"{text!r} is no time", remedy=remedy) from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def number(text: str | None) -> int | None:
    """A whole number; underscores and commas between digits are fine. ``none`` and no text at all are None."""
    if text is None or text.strip().lower() == NONE:
        return None
    digits = re.sub(r"(?<=\d)[_,](?=\d)", "", text.strip())
    if not re.fullmatch(r"\d{1,18}", digits, re.ASCII):
        raise UsageError(f"{text!r} is no whole number", remedy=f"Write one such as 1000, or {NONE}.")
    return int(digits)


def person(by: str | None) -> str:
    """Who is doing this: ``by``, or the name this program runs under."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise UsageError("nobody knows who you are", remedy="Say who: --by NAME.") from error
