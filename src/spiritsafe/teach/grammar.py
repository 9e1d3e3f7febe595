"""JSON that a schema allows, as a machine over bytes: what may come next, and how to end soonest.

A state is a set of stacks of symbols still to be matched. References and values of any type are
unrolled to ``DEPTH`` levels (a reference beyond that is ``null``), and strings, arrays and numbers are
bounded: so every state has a shortest end, and an answer can be steered to it before its tokens run
out.

Enforced of JSON Schema: ``type``, ``enum``, ``const``, ``properties`` (in their order), ``required``,
``items``, ``minItems``, ``maxItems``, ``maxLength``, ``anyOf``, ``oneOf`` and local ``$ref``. Anything
else in a schema is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spiritsafe.errors import InputError

DEPTH = 4
MOST_CHARACTERS = 256
MOST_ITEMS = 16


@dataclass(frozen=True, eq=False)
class Bytes:
    """One byte of a set."""

    allowed: frozenset[int]
    shortest: int = 1


@dataclass(frozen=True, eq=False)
class Seq:
    """Symbols one after the other."""

    parts: tuple[Symbol, ...]
    shortest: int


@dataclass(frozen=True, eq=False)
class Alt:
    """One of several symbols."""

    options: tuple[Symbol, ...]
    shortest: int


@dataclass(frozen=True, eq=False)
class UpTo:
    """A symbol that is never empty, at most ``most`` times."""

    symbol: Symbol
    most: int
    shortest: int = 0


Symbol = Bytes | Seq | Alt | UpTo
Stack = tuple[Symbol, "Stack"] | None
State = tuple[Stack, ...]


def start(symbol: Symbol) -> State:
    """The state before anything was matched."""
    return ((symbol, None),)


def advance(state: State, data: bytes) -> State:
    """The state after ``data``; empty if the language has nothing that goes on so."""
    for byte in data:
        state = tuple(after for stack in state for after in _step(stack, byte))
        if not state:
            break
    return state


def ended(state: State) -> bool:
    """Whether what was matched is whole."""
    return any(shortest((stack,)) == 0 for stack in state)


def shortest(state: State) -> int:
    """The fewest bytes that make it whole; -1 for a state that matches nothing."""
    return min((_shortest(stack) for stack in state), default=-1)


def _shortest(stack: Stack) -> int:
    total = 0
    while stack is not None:
        symbol, stack = stack
        total += symbol.shortest
    return total


def forced(state: State) -> bytes:
    """What must come next, as far as there is no choice."""
    out = bytearray()
    while not ended(state):
        only = following(state)
        if len(only) != 1:
            break
        out += bytes(only)
        state = advance(state, bytes(only))
    return bytes(out)


def following(state: State) -> set[int]:
    """Every byte that may come next."""
    return {byte for stack in state for byte in _first(stack)}


def _step(stack: Stack, byte: int) -> Iterator[Stack]:
    if stack is None:
        return
    symbol, rest = stack
    match symbol:
        case Bytes():
            if byte in symbol.allowed:
                yield rest
        case Seq():
            for part in reversed(symbol.parts):
                rest = (part, rest)
            yield from _step(rest, byte)
        case Alt():
            for option in symbol.options:
                yield from _step((option, rest), byte)
        case UpTo():
            if symbol.most > 0:
                yield from _step((symbol.symbol, (UpTo(symbol.symbol, symbol.most - 1), rest)), byte)
            yield from _step(rest, byte)


def _first(stack: Stack) -> frozenset[int]:
    if stack is None:
        return frozenset()
    symbol, rest = stack
    match symbol:
        case Bytes():
            return symbol.allowed
        case Seq():
            for part in reversed(symbol.parts):
                rest = (part, rest)
            return _first(rest)
        case Alt():
            return frozenset().union(*(_first((option, rest)) for option in symbol.options))
        case UpTo():
            inner = _first((symbol.symbol, rest)) if symbol.most > 0 else frozenset()
            return inner | _first(rest)


def literal(text: str) -> Symbol:
    """Exactly ``text``."""
    return seq(*(Bytes(frozenset((byte,))) for byte in text.encode()))


def seq(*parts: Symbol) -> Symbol:
    """One after the other."""
    return Seq(parts, sum(part.shortest for part in parts))


def alt(*options: Symbol) -> Symbol:
    """One of several."""
    return options[0] if len(options) == 1 else Alt(options, min(option.shortest for option in options))


def _span(low: int, high: int) -> Bytes:
    return Bytes(frozenset(range(low, high + 1)))


_DIGIT = _span(0x30, 0x39)
_TAIL = _span(0x80, 0xBF)
_EMPTY = seq()
# Well-formed UTF-8 (Unicode 16, table 3-7), without the control characters, quote and backslash, which are escaped.
_CHARACTER = alt(
    Bytes(frozenset(range(0x20, 0x7F)) - {0x22, 0x5C}),
    seq(literal("\\"), Bytes(frozenset(b'"\\/bfnrt'))),
    seq(_span(0xC2, 0xDF), _TAIL),
    seq(Bytes(frozenset((0xE0,))), _span(0xA0, 0xBF), _TAIL),
    seq(Bytes(frozenset((*range(0xE1, 0xED), 0xEE, 0xEF))), _TAIL, _TAIL),
    seq(Bytes(frozenset((0xED,))), _span(0x80, 0x9F), _TAIL),
    seq(Bytes(frozenset((0xF0,))), _span(0x90, 0xBF), _TAIL, _TAIL),
    seq(_span(0xF1, 0xF3), _TAIL, _TAIL, _TAIL),
    seq(Bytes(frozenset((0xF4,))), _span(0x80, 0x8F), _TAIL, _TAIL),
)
_INTEGER = seq(UpTo(literal("-"), 1), alt(literal("0"), seq(_span(0x31, 0x39), UpTo(_DIGIT, 14))))
_NUMBER = seq(_INTEGER, UpTo(seq(literal("."), _DIGIT, UpTo(_DIGIT, 8)), 1))
_BOOLEAN = alt(literal("true"), literal("false"))
_NULL = literal("null")


def json_value(schema: Mapping[str, Any] | bool, root: Mapping[str, Any] | None = None, depth: int = DEPTH) -> Symbol:
    """The language of ``schema``, written as ``json.dumps`` writes it. ``root`` resolves ``$ref``.

    Raises InputError for a schema that can't be read.
    """
    if isinstance(schema, bool) or not schema:
        return _anything(depth)
    root = schema if root is None else root
    if "$ref" in schema:
        return json_value(_resolve(schema["$ref"], root), root, depth - 1) if depth > 0 else _NULL
    if "const" in schema:
        return literal(json.dumps(schema["const"]))
    if "enum" in schema:
        return alt(*(literal(json.dumps(value)) for value in _some(schema["enum"], "enum")))
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return alt(*(json_value(option, root, depth) for option in _some(schema[union], union)))
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return _of_type(kinds, schema, root, depth)
    if isinstance(kinds, list):
        return alt(*(_of_type(kind, schema, root, depth) for kind in _some(kinds, "type")))
    return _object(schema, root, depth) if "properties" in schema else _anything(depth)


def _of_type(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Symbol:
    match kind:
        case "string":
            return _string(min(int(schema.get("maxLength", MOST_CHARACTERS)), MOST_CHARACTERS))
        case "integer":
            return _INTEGER
        case "number":
            return _NUMBER
        case "boolean":
            return _BOOLEAN
        case "null":
            return _NULL
        case "array":
            return _array(schema, root, depth)
        case "object":
            return _object(schema, root, depth)
    raise InputError(
        f"{kind!r} is no JSON type",
        where="schema",
        remedy="Types are string, integer, number, boolean, null, array, object.",
    )


def _string(most: int) -> Symbol:
    return seq(literal('"'), UpTo(_CHARACTER, most), literal('"'))


def _anything(depth: int) -> Symbol:
    scalars = (_string(MOST_CHARACTERS), _NUMBER, _BOOLEAN, _NULL)
    if depth <= 0:
        return alt(*scalars)
    inner = _anything(depth - 1)
    return alt(*scalars, _list(inner, 0, MOST_ITEMS), _map(inner))


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Symbol:
    least = int(schema.get("minItems", 0))
    most = max(min(int(schema.get("maxItems", MOST_ITEMS)), MOST_ITEMS), least)
    if "items" not in schema and depth <= 0:
        return literal("[]")
    item = json_value(schema["items"], root, depth) if "items" in schema else _anything(depth - 1)
    return _list(item, least, most)


def _list(item: Symbol, least: int, most: int) -> Symbol:
    if most == 0:
        return literal("[]")
    following = seq(literal(", "), item)
    must = (item, *(following for _ in range(least - 1)))
    filled = seq(literal("["), *must, UpTo(following, most - len(must)), literal("]"))
    return filled if least else alt(literal("[]"), filled)


def _map(value: Symbol) -> Symbol:
    pair = seq(_string(64), literal(": "), value)
    more = UpTo(seq(literal(", "), pair), MOST_ITEMS - 1)
    return alt(literal("{}"), seq(literal("{"), pair, more, literal("}")))


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Symbol:
    properties = schema.get("properties")
    if not properties:
        return _map(_anything(depth - 1)) if depth > 0 else literal("{}")
    if not isinstance(properties, Mapping):
        raise InputError("properties must be an object", where="schema", remedy="Give one schema a property.")
    required = set(schema.get("required", ()))
    # Built from the last property to the first, once for "something came before" and once for "nothing did".
    tails = {False: _EMPTY, True: _EMPTY}
    for name, inner in reversed(list(properties.items())):
        value = seq(literal(json.dumps(name) + ": "), json_value(inner, root, depth))
        tails = {
            before: alt(
                seq(literal(", ") if before else _EMPTY, value, tails[True]),
                *(() if name in required else (tails[before],)),
            )
            for before in (False, True)
        }
    return seq(literal("{"), tails[False], literal("}"))


def _some(values: Any, where: str) -> Sequence[Any]:
    if not isinstance(values, list) or not values:
        raise InputError(f"{where} must be a list with something in it", where="schema", remedy="Correct the schema.")
    return values


def _resolve(reference: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for name in str(reference).removeprefix("#/").split("/"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise InputError(
            f"{reference!r} leads nowhere",
            where="schema",
            remedy="Only references into the schema itself are followed.",
        )
    return found
