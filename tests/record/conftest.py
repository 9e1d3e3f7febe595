"""Exchanges of every shape, and logs made of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog

Make = Callable[..., Exchange]
Fill = Callable[..., Path]

START = datetime(2026, 3, 2, tzinfo=UTC)


def _make(number: int = 0, **fields: Any) -> Exchange:
    given: dict[str, Any] = {
        "exchange_id": f"x{number}",
        "time": START + timedelta(minutes=number),
        "account_id": f"account-{number % 5}",
        "model": "small",
        "system": "You answer in one sentence.",
        "messages": (Message("user", f"What is {number} plus {number}?"),),
        "completion": f"It is {2 * number}.",
        "prompt_tokens": number,
        "params": {"temperature": 0.7},
    }
    return Exchange(**{**given, **fields})


@pytest.fixture(scope="session")
def make() -> Make:
    """Make the exchange with this number; keyword arguments override its fields."""
    return _make


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Make a closed log of so many rows in ``tmp_path/data/record``, rolled after each of the row counts given."""

    def filled(rows: int, *, rolls: tuple[int, ...] = (), **options: Any) -> Path:
        folder = tmp_path / "data" / "record"
        with SealedLog.open(folder, pace=0.0, **options) as log:
            for number in range(log.rows, rows):
                future = log.append(_make(number))
                if number + 1 in rolls:
                    log.roll()
                elif number % 7 == 0:
                    future.result()
        return folder

    return filled


@pytest.fixture(scope="session")
def exchanges() -> st.SearchStrategy[Exchange]:
    """Any exchange that the record takes."""
    text = st.text(max_size=20)
    json = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=6,
    )
    objects = st.dictionaries(text, json, max_size=3)
    maybe = st.none() | text
    counts = st.none() | st.integers(0, 2**53)
    times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.timezones())  # noqa: DTZ001
    return st.builds(
        Exchange,
        exchange_id=text,
        time=times,
        account_id=text,
        key_id=maybe,
        model=maybe,
        endpoint=maybe,
        content=st.sampled_from(["full", "sketch", "none"]),
        system=maybe,
        messages=st.none() | st.lists(st.builds(Message, text, json, objects), max_size=3).map(tuple),
        completion=maybe,
        reasoning=maybe,
        sketch=st.none() | objects,
        prompt_tokens=counts,
        completion_tokens=counts,
        latency_ms=st.none() | st.floats(),
        status=counts,
        params=objects,
        ip_prefix=maybe,
        session=maybe,
        twin_of=maybe,
        extra=objects,
    )
