"""From how people write a model's name to the entries of the registry that speak of it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spiritsafe.distill.terms.types import Model

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)*[a-z]*")
_SIZE = re.compile(r"\d+(?:\.\d+)?[bmkt]$|\d+x$")
_SNAPSHOT_DIGITS = 4  # 2411, 20250514: a snapshot of a version, not another version


class Match(NamedTuple):
    """``model`` is named at ``start``:``stop`` of the words asked for; ``other_version`` is a version that follows
    and that the entry does not know.
    """

    model: Model
    name: str
    start: int
    stop: int
    other_version: str | None


def words(name: str) -> tuple[str, ...]:
    """A name as comparable words: "Llama-3.1-8B" and "llama3.1 8b" are both llama, 3.1, 8b."""
    return tuple(_WORD.findall(name.lower()))


def find(name: str, models: Iterable[Model]) -> list[Match]:
    """The entries named in ``name``, the longest first, without those that lie inside a longer one.

    "nvidia/Llama-3.1-Nemotron-70B" names two families, and both hold. An organisation before a slash counts only if
    the rest names nothing: "openai/gpt-oss-20b" is not one of OpenAI's hosted models.
    """
    known = list(models)
    for part in dict.fromkeys((name.rsplit("/", 1)[-1], name)):
        asked = words(part)
        found = [m for model in known for written in model.names if (m := _at(asked, model, written)) is not None]
        found.sort(key=lambda m: (m.start - m.stop, m.start))
        outer: list[Match] = []
        for match in found:
            if not any(o.start <= match.start and match.stop <= o.stop for o in outer):
                outer.append(match)
        if outer:
            return outer
    return []


def close(name: str, models: Iterable[Model], limit: int = 3) -> tuple[str, ...]:
    """Names of the registry that ``name`` may have been meant for."""
    written = {" ".join(words(n)): n for m in models for n in m.names}
    asked = words(name.rsplit("/", 1)[-1])
    tries = [" ".join(asked[:n]) for n in range(len(asked), 0, -1)]
    found: dict[str, None] = {}
    for text in tries:
        for key in difflib.get_close_matches(text, written, n=limit, cutoff=0.6):
            found[written[key]] = None
    return tuple(found)[:limit]


def _at(asked: Sequence[str], model: Model, written: str) -> Match | None:
    sought = words(written)
    for start in range(len(asked) - len(sought) + 1):
        stop = start + len(sought)
        if tuple(asked[start:stop]) == sought:
            other = None if model.any_version else _version(asked[stop:])
            return Match(model, written, start, stop, other)
    return None


def _version(rest: Sequence[str]) -> str | None:
    """The version that the words after a match begin with: "3.5", "v 3"; sizes and snapshots are none."""
    if len(rest) > 1 and len(rest[0]) == 1 and rest[0].isalpha() and _is_version(rest[1]):
        return f"{rest[0]}{rest[1]}"
    return rest[0] if rest and _is_version(rest[0]) else None


def _is_version(word: str) -> bool:
    if not word[0].isdigit() or _SIZE.match(word):
        return False
    return not (word.isdigit() and len(word) >= _SNAPSHOT_DIGITS)
