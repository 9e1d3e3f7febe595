from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.teach import grammar
from spiritsafe.teach.grammar import State, advance, ended, following, forced, json_value, literal, shortest, start

WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["c", "f"]},
        "days": {"type": "integer"},
        "exact": {"type": "boolean"},
    },
    "required": ["city", "days"],
}


def accepts(schema, text: str) -> bool:
    return ended(advance(start(json_value(schema)), text.encode()))


def walk(state: State, seed: int, most: int = 120) -> bytes:
    """A random text of the language: any byte that goes on, and the shortest way out after ``most``."""
    chooser = random.Random(seed)
    out = b""
    while not ended(state):
        bytes_now = sorted(following(state))
        if len(out) > most:
            bytes_now = [each for each in bytes_now if shortest(advance(state, bytes([each]))) < shortest(state)]
        byte = bytes([chooser.choice(bytes_now)])
        out, state = out + byte, advance(state, byte)
    return out


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab"\\é', max_size=5), inner, max_size=4),
    max_leaves=8,
)


def depth(value) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@given(VALUES.filter(lambda value: depth(value) <= grammar.DEPTH))
def test_any_json_is_accepted_as_json_dumps_writes_it(value) -> None:
    assert accepts({}, json.dumps(value, ensure_ascii=False))


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_every_text_of_the_language_is_json_of_the_schema(seed) -> None:
    value = json.loads(walk(start(json_value(WEATHER)), seed))
    assert set(value) >= {"city", "days"}
    assert set(value) <= set(WEATHER["properties"])
    assert isinstance(value["city"], str)
    assert type(value["days"]) is int
    assert value.get("unit", "c") in ("c", "f")
    assert type(value.get("exact", True)) is bool


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_every_text_of_any_object_is_json(seed) -> None:
    assert isinstance(json.loads(walk(start(json_value({"type": "object"})), seed)), dict)


SHORT = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 3}, "b": {"type": "array", "items": {"type": "number"}}},
}


@settings(max_examples=25)
@given(st.integers(0, 99))
def test_shortest_is_the_length_of_the_shortest_way_out(seed) -> None:
    state = start(json_value(SHORT))
    for byte in walk(state, seed, 30)[:-1]:
        state = advance(state, bytes([byte]))
        after = [shortest(nxt) for each in range(256) if (nxt := advance(state, bytes([each])))]
        assert min(after) == shortest(state) - 1
        assert following(state) == {each for each in range(256) if advance(state, bytes([each]))}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string"}, ['""', '"a"', r'"a\n\"b"', '"é東🥃"'], ['"', "a", '"a\n"', r'"\x"']),
        ({"type": "string", "maxLength": 2}, ['"ab"', '"東🥃"'], ['"abc"']),
        ({"type": "integer"}, ["0", "-12", "7"], ["01", "1.5", "--1", "+1"]),
        ({"type": "number"}, ["0", "-1.25", "12"], ["1.", ".5", "1e5"]),
        ({"type": "boolean"}, ["true", "false"], ["True", "1"]),
        ({"type": ["null", "boolean"]}, ["null", "true"], ["0"]),
        ({"const": {"a": 1}}, ['{"a": 1}'], ["{}"]),
        ({"enum": ["x", 3]}, ['"x"', "3"], ['"y"', "x"]),
        ({"type": "array", "items": {"type": "integer"}}, ["[]", "[1]", "[1, 2]"], ["[1,2]", "[,]", "[true]"]),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
            ["[1, 2]", "[1, 2, 3]"],
            ["[]", "[1]", "[1, 2, 3, 4]"],
        ),
        ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ["1", "null"], ["true"]),
        (
            WEATHER,
            ['{"city": "a", "days": 1}', '{"city": "a", "unit": "f", "days": 1}'],
            ["{}", '{"days": 1, "city": "a"}', '{"city": "a"}'],
        ),
        ({"properties": {"a": {"type": "null"}}}, ["{}", '{"a": null}'], ['{"b": null}']),
        (
            {"$defs": {"t": {"properties": {"next": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"},
            ["{}", '{"next": {"next": {}}}'],
            ['{"next": 1}'],
        ),
        (True, ["1", "{}", "[null]"], ["nul"]),
    ],
    ids=str,
)
def test_what_a_schema_allows(schema, good, bad) -> None:
    for text in good:
        assert accepts(schema, text), text
    for text in bad:
        assert not accepts(schema, text), text


def test_what_has_no_alternative_is_forced() -> None:
    state = start(grammar.seq(literal("call: "), json_value(WEATHER)))
    assert forced(state) == b'call: {"city": "'
    assert forced(start(json_value({"enum": ["ab", "ac"]}))) == b'"a'
    assert forced(start(literal("all"))) == b"all"
    assert shortest(advance(start(literal("all")), b"x")) == -1


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "text"}, "'text' is no JSON type"),
        ({"enum": []}, "enum"),
        ({"anyOf": {}}, "anyOf"),
        ({"type": "object", "properties": []}, None),
        ({"type": "object", "properties": ["a"]}, "properties"),
        ({"$ref": "#/$defs/missing"}, "leads nowhere"),
    ],
)
def test_a_schema_that_makes_no_sense_says_what(schema, message) -> None:
    if message is None:
        assert accepts(schema, "{}")
        return
    with pytest.raises(InputError, match=message):
        json_value(schema)
