from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import read
from spiritsafe.record.exchange import Message

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[1]", "invalid_json"),
        (b'"a"', "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b"\xff\xfe{}", "invalid_utf8"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
    ],
)
def test_what_is_no_json_object_in_utf8_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Fault) as caught:
        read.json_object(body)
    assert (caught.value.reason, caught.value.status) == (reason, 400)


@given(st.dictionaries(st.text(), anything, max_size=4))
def test_any_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert read.json_object(json.dumps(value).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        assert isinstance(read.json_object(body), dict)
    except Fault as fault:
        assert fault.status == 400  # noqa: PT017 (both outcomes are right; a third is the failure)


def test_a_field_that_must_be_there_says_what_is_wrong_with_it() -> None:
    assert read.need({"a": [1]}, "a", list, "a list") == [1]
    with pytest.raises(Fault, match="'a' is missing"):
        read.need({}, "a", list, "a list")
    with pytest.raises(Fault, match="'a' is not a list"):
        read.need({"a": 1}, "a", list, "a list")


def test_the_model_may_be_left_out_but_not_be_something_else() -> None:
    assert read.model_of({}) is None
    assert read.model_of({"model": "m"}) == "m"
    with pytest.raises(Fault):
        read.model_of({"model": 1})


@pytest.mark.parametrize(("value", "count"), [(3, 3), (None, 1), (True, 1), ("2", 1), (-1, 1), (10**9, 1)])
def test_a_count_is_a_small_whole_number_or_one(value: Any, count: int) -> None:
    assert read.count_of({"n": value}) == count


def test_the_words_of_a_content_are_its_text_and_that_of_its_parts() -> None:
    assert read.words("a") == "a"
    assert read.words([{"type": "text", "text": "a"}, {"type": "image_url"}, "b", {"text": 3}]) == "a\nb"
    assert read.words(None) == read.words(7) == ""


def test_a_message_keeps_what_it_has_beside_role_and_content() -> None:
    assert read.message({"role": "user", "content": "a"}) == Message("user", "a")
    assert read.message({"role": "tool", "content": "a", "tool_call_id": "1"}) == Message(
        "tool", "a", {"tool_call_id": "1"}
    )
    for wrong in (None, "a", {}, {"role": 1}):
        with pytest.raises(Fault, match="no role"):
            read.message(wrong)


def test_fields_are_sorted_into_settings_and_others() -> None:
    body = {"a": 1, "b": 2, "c": 3}
    assert read.sort(body, frozenset({"a"}), frozenset({"b"})) == ({"a": 1}, {"c": 3})


@given(anything)
def test_helpers_take_anything(value: Any) -> None:
    assert read.text(value) is None or isinstance(value, str)
    assert isinstance(read.mapping(value), dict)
    assert all(isinstance(item, dict) for item in read.objects(value))
    assert isinstance(read.words(value), str)
    assert read.count(value) is None or value >= 0
