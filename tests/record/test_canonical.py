"""One exchange has one form; its content is committed to, not hashed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.record import canonical
from spiritsafe.record.exchange import Exchange, Message

Make = Callable[..., Exchange]
SALT = bytes(range(16))


@given(data=st.data())
def test_any_exchange_comes_back_from_its_canonical_bytes(
    exchanges: st.SearchStrategy[Exchange], data: st.DataObject
) -> None:
    exchange = data.draw(exchanges)
    written = canonical.canonical(exchange)
    again = canonical.decode(written)
    assert canonical.canonical(again) == written
    assert again.messages == exchange.messages
    assert again.params == exchange.params


@given(data=st.data())
def test_any_exchange_comes_back_from_its_row(exchanges: st.SearchStrategy[Exchange], data: st.DataObject) -> None:
    exchange = data.draw(exchanges)
    row = canonical.seal(exchange, SALT)
    again = canonical.open_row(row)
    assert canonical.canonical(again) == canonical.canonical(canonical.decode(canonical.canonical(exchange)))
    assert canonical.seal(again, SALT) == row


def test_the_form_is_the_documented_one() -> None:
    exchange = Exchange(
        exchange_id="x",
        time=datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=UTC),
        account_id="é",
        completion="c",
        params={"b": 1, "a": [1.5, None]},
        messages=(Message("user", "hi"),),
    )
    assert (
        canonical.canonical(exchange)
        == (
            '{"account_id":"é","completion":"c","exchange_id":"x","messages":[{"content":"hi","role":"user"}],'
            '"params":{"a":[1.5,null],"b":1},"time":"2026-01-02T03:04:05.000060Z","version":1}'
        ).encode()
    )
    row = canonical.seal(exchange, SALT)
    content = b'{"completion":"c","messages":[{"content":"hi","role":"user"}]}'
    assert row.content == content
    commitment = hashlib.blake2b(content, digest_size=32, key=SALT, person=b"spiritsafe-con-1").digest()
    assert row.commitment == commitment
    assert canonical.digest(exchange, SALT) == (
        hashlib.blake2b(commitment + row.envelope, digest_size=32, person=b"spiritsafe-row-1").digest()
    )


def test_the_same_text_is_committed_to_differently_each_time(make: Make) -> None:
    first, second = canonical.seal(make()), canonical.seal(make())
    assert first.envelope == second.envelope
    assert first.commitment != second.commitment
    assert b"plus" not in first.envelope


def test_dropping_the_content_keeps_the_row_digest(make: Make) -> None:
    row = canonical.seal(make(3))
    pruned = row._replace(content=None, salt=None)
    assert canonical.row_digest(pruned) == canonical.row_digest(row)
    left = canonical.open_row(pruned)
    assert (left.content, left.messages, left.completion, left.system) == ("none", None, None, None)
    assert left.prompt_tokens == 3


def test_links_depend_on_every_row_and_their_order(make: Make) -> None:
    rows = [canonical.seal(make(n)) for n in range(2)]
    start = canonical.first_link(b"log")
    forth = canonical.next_link(canonical.next_link(start, rows[0]), rows[1])
    back = canonical.next_link(canonical.next_link(start, rows[1]), rows[0])
    assert len({start, forth, back, canonical.first_link(b"other")}) == 4


def test_unknown_fields_are_kept() -> None:
    data = b'{"exchange_id":"x","time":"2026-01-01T00:00:00Z","account_id":"a","colour":[1],"extra":{"k":1}}'
    assert canonical.decode(data).extra == {"colour": [1], "k": 1}


@pytest.mark.parametrize(
    "data",
    [
        b'{"version":2,"exchange_id":"x","time":"2026-01-01T00:00:00Z","account_id":"a"}',
        b'{"version":2,"exchange_id":{"changed":true}}',
    ],
)
def test_a_newer_version_says_so(data: bytes) -> None:
    with pytest.raises(InputError, match="has version 2, this spiritsafe reads version 1"):
        canonical.decode(data, "here")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"exchange_id":1}', b"\xff", b'{"exchange_id":"x"}'])
def test_what_is_no_exchange_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="can't be read"):
        canonical.decode(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"account_id": 5},
        {"status": -1},
        {"prompt_tokens": 2**60},
        {"system": b"x"},
        {"messages": ("hi",)},
        {"messages": (Message(3),)},  # type: ignore[arg-type]
        {"extra": {"k": object()}},
        {"version": 2},
    ],
)
def test_what_could_not_be_read_again_is_not_written(make: Make, fields: dict[str, object]) -> None:
    with pytest.raises(InputError):
        canonical.seal(make(**fields))


def test_values_that_json_lacks_are_written_as_the_nearest_it_has(make: Make) -> None:
    odd = make(extra={3: {"nan": float("nan")}, "cut": "a\ud800b"}, completion="\udfff")
    again = canonical.open_row(canonical.seal(odd))
    assert again.extra == {"3": {"nan": None}, "cut": "a\ufffdb"}
    assert again.completion == "\ufffd"


def test_large_numbers_survive(make: Make) -> None:
    huge = {"n": 10**40}
    assert canonical.open_row(canonical.seal(make(params=huge))).params == huge


def test_rows_with_and_without_content_open(make: Make) -> None:
    empty = make(system=None, messages=None, completion=None)
    row = canonical.seal(empty)
    assert row.content == b"{}"
    assert canonical.open_row(row) == empty
    broken = row._replace(envelope=b"{")
    with pytest.raises(InputError, match="here"):
        canonical.open_row(broken, "here")


def test_the_stored_envelope_has_every_field_but_content() -> None:
    assert set(canonical.Envelope.__struct_fields__) | set(canonical.StoredContent.__struct_fields__) == set(
        Exchange.__struct_fields__
    )
    assert json.loads(canonical.canonical(canonical.decode(msgspec.json.encode(_bare()))))["version"] == 1


def _bare() -> Exchange:
    return Exchange(exchange_id="x", time=datetime(2026, 1, 1, tzinfo=UTC), account_id="a")
