"""Configuration, policy and recipe files: YAML into typed structs, every problem at once, each with its line.

A file is read into a ``msgspec.Struct`` type. Nested structs, lists, mappings, unions with ``None``,
literals and scalars are followed; the first wrong place never hides the second.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from spiritsafe.errors import ConfigError, InputError, Problem

T = TypeVar("T")


def load(path: Path, kind: type[T]) -> T:
    """Read the YAML file at ``path`` into ``kind``.

    Raises ``InputError`` if the file can't be read and ``ConfigError``, listing every problem with
    ``file:line`` and the valid names, if it does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text: byte {error.start}", remedy="Save the file as UTF-8.", where=str(path)
        ) from error
    except OSError as error:
        raise InputError(
            f"can't be read: {error.strerror}", remedy="Check the path and its permissions.", where=str(path)
        ) from error
    return load_text(text, kind, where=str(path))


def load_text(text: str, kind: type[T], *, where: str) -> T:
    """Read YAML ``text`` into ``kind``; ``where`` stands for the file's name in errors. An empty text is ``{}``."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = Problem(f"{where}:{line}", f"not YAML: {error.problem}", "Mend the syntax at this line.")
        raise ConfigError([problem]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(f"{where}:1", f"not YAML: {error}", "Mend the syntax.")]) from error
    if root is None:
        root = yaml.compose("{}", Loader=yaml.SafeLoader)
        assert root is not None
    problems = list(_check(root, kind, where, ""))
    if problems:
        raise ConfigError(problems)
    value = yaml.safe_load(text) or {}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # a rule of the type itself, such as __post_init__ or a bound
        line = _line_of(root, str(error))
        raise ConfigError([Problem(f"{where}:{line}", str(error), "Correct the value.")]) from error


def _at(node: yaml.Node, where: str) -> str:
    return f"{where}:{node.start_mark.line + 1}"


def _check(node: yaml.Node, kind: Any, where: str, path: str) -> Iterator[Problem]:
    """Every way in which ``node`` does not fit ``kind``; ``path`` is the dotted name so far."""
    origin = get_origin(kind)
    if kind is Any:
        return
    if origin in (Union, types.UnionType):
        yield from _check_union(node, get_args(kind), where, path)
    elif origin is Literal:
        yield from _check_literal(node, get_args(kind), where, path)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _check_struct(node, kind, where, path)
    elif origin in (list, tuple, frozenset, set):
        if not isinstance(node, yaml.SequenceNode):
            yield Problem(_at(node, where), f"{path or 'the file'} takes a list", "Write it as '- item' lines.")
            return
        item = get_args(kind)[0]
        for i, child in enumerate(node.value):
            yield from _check(child, item, where, f"{path}[{i}]")
    elif origin is dict:
        if not isinstance(node, yaml.MappingNode):
            yield Problem(_at(node, where), f"{path or 'the file'} takes a mapping", "Write it as 'name: value' lines.")
            return
        for key, child in node.value:
            yield from _check(child, get_args(kind)[1], where, f"{path}.{key.value}" if path else str(key.value))
    else:
        yield from _check_scalar(node, kind, where, path)


def _check_union(node: yaml.Node, kinds: tuple[Any, ...], where: str, path: str) -> Iterator[Problem]:
    found: list[list[Problem]] = []
    for kind in kinds:
        if kind is type(None):
            if node.tag == "tag:yaml.org,2002:null":
                return
            continue
        problems = list(_check(node, kind, where, path))
        if not problems:
            return
        found.append(problems)
    yield from min(found, key=len)


def _check_literal(node: yaml.Node, choices: tuple[Any, ...], where: str, path: str) -> Iterator[Problem]:
    value = _scalar(node)
    if value not in choices:
        names = ", ".join(str(c) for c in choices)
        yield Problem(_at(node, where), f"{path} is {value!r}", f"Valid values: {names}.")


def _check_struct(node: yaml.Node, kind: type[msgspec.Struct], where: str, path: str) -> Iterator[Problem]:
    if not isinstance(node, yaml.MappingNode):
        yield Problem(_at(node, where), f"{path or 'the file'} takes a mapping", "Write it as 'name: value' lines.")
        return
    fields = {f.encode_name: f for f in msgspec.structs.fields(kind)}
    seen: dict[str, int] = {}
    for key, child in node.value:
        name = str(key.value)
        full = f"{path}.{name}" if path else name
        if name in seen:
            yield Problem(_at(key, where), f"{full} stands twice (first at line {seen[name]})", "Keep one of them.")
        seen[name] = key.start_mark.line + 1
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            yield Problem(_at(key, where), f"unknown key {full!r}", f"{hint}Valid names: {', '.join(sorted(fields))}.")
            continue
        yield from _check(child, fields[name].type, where, full)
    for name, field in fields.items():
        if field.required and name not in seen:
            full = f"{path}.{name}" if path else name
            yield Problem(_at(node, where), f"{full} is missing", f"Add '{name}: ...' here.")


def _scalar(node: yaml.Node) -> Any:
    """The plain value of a scalar node; a mapping or a list gives None."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (ValueError, yaml.YAMLError):
        return node.value
    finally:
        loader.dispose()


def _check_scalar(node: yaml.Node, kind: Any, where: str, path: str) -> Iterator[Problem]:
    value = _scalar(node)
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield Problem(_at(node, where), f"{path or 'the value'}: {error}", "Correct the value.")


def _line_of(root: yaml.Node, message: str) -> int:
    """The line of the deepest place that a msgspec message such as ``... - at `$.rules[2].name``` names."""
    node = root
    if "`$" in message:
        steps = message.rsplit("`$", maxsplit=1)[-1].rstrip("`").replace("[", ".[").split(".")
        for step in filter(None, steps):
            if step.startswith("[") and isinstance(node, yaml.SequenceNode) and step[1:-1].isdigit():
                node = node.value[int(step[1:-1])]
            elif isinstance(node, yaml.MappingNode):
                node = next((child for key, child in node.value if key.value == step), node)
    return int(node.start_mark.line) + 1
