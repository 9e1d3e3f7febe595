"""Cutting a byte-level BPE vocabulary down to what a corpus uses, into a tokenizer that still reads any text.

A head over 49,152 tokens is most of the work of training a small student. The cut keeps every single byte, every
special token, the most frequent tokens of the corpus, and whatever those are merged from, so that what is cut off
is written with smaller pieces and nothing becomes unknown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from spiritsafe.errors import InputError, UsageError


class Cut(NamedTuple):
    """``tokenizer`` is the smaller one; its token i is the old token ``kept[i]``."""

    tokenizer: Tokenizer
    kept: list[int]


def cut(tokenizer: Tokenizer, texts: Iterable[str], size: int) -> Cut:
    """The tokenizer with at most ``size`` tokens that serves ``texts`` best by plain token frequency.

    Raises ``InputError`` for a tokenizer that is no byte-level BPE and ``UsageError`` for a ``size`` too small to
    hold the bytes and the special tokens.
    """
    spec: dict[str, Any] = json.loads(tokenizer.to_str())
    model = spec["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise InputError(
            f"its tokenizer is {model.get('type')}, not byte-level BPE", remedy="Leave the student's vocabulary whole."
        )
    merges = [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    parents = {left + right: (left, right) for left, right in reversed(merges)}
    vocabulary: dict[str, int] = model["vocab"]
    special = {t["content"] for t in spec["added_tokens"]}
    keep = {t for t in vocabulary if t in special or t not in parents}
    if len(keep | special) > size:
        raise UsageError(
            f"a vocabulary of {size} can't hold the {len(keep | special)} bytes and special tokens",
            remedy="Ask for a larger one.",
        )
    counts = Counter(i for text in texts for i in tokenizer.encode(text, add_special_tokens=False).ids)
    names = {i: t for t, i in vocabulary.items()}
    for i, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0])):
        if i in names:
            wanted = _with_parents(names[i], parents, keep)
            if len(keep | wanted | special) <= size:
                keep |= wanted
    return _rebuild(spec, merges, keep | (special & vocabulary.keys()))


def _with_parents(token: str, parents: dict[str, tuple[str, str]], keep: set[str]) -> set[str]:
    """The token and all that it is merged from, as far as they are not kept yet."""
    todo, found = [token], set()
    while todo:
        piece = todo.pop()
        if piece in keep or piece in found:
            continue
        found.add(piece)
        todo.extend(parents.get(piece, ()))
    return found


def _rebuild(spec: dict[str, Any], merges: list[tuple[str, ...]], keep: set[str]) -> Cut:
    model = spec["model"]
    old = model["vocab"]
    extra = sorted((t for t in spec["added_tokens"] if t["content"] not in old), key=lambda t: t["id"])
    order = sorted(keep, key=lambda t: int(old[t]))
    kept = [old[t] for t in order] + [t["id"] for t in extra]
    place = {token: i for i, token in enumerate(order)} | {t["content"]: len(order) + i for i, t in enumerate(extra)}
    model["vocab"] = {t: place[t] for t in order}
    model["merges"] = [[a, b] for a, b in merges if a in keep and b in keep and a + b in keep]
    for token in spec["added_tokens"]:
        token["id"] = place[token["content"]]
    _renumber(spec.get("post_processor"), place)
    return Cut(Tokenizer.from_str(json.dumps(spec)), kept)


def _renumber(processor: Any, place: dict[str, int]) -> None:
    """Give the special tokens of a template processor their new numbers."""
    if not isinstance(processor, dict):
        return
    for part in processor.get("processors", ()):
        _renumber(part, place)
    for token in (processor.get("special_tokens") or {}).values():
        token["ids"] = [place[t] for t in token["tokens"]]
