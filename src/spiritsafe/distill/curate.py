"""Curation: which answers a student is trained on. Every dropped row keeps the first reason that applied to it.

The held-out rows are never kept for training; they are what the rest is decontaminated against, beside the
evaluation sets that the recipe names.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import rensa
from numpy.typing import NDArray

from spiritsafe.distill.recipe import Curate
from spiritsafe.distill.rows import Row, normal
from spiritsafe.distill.verifiers.types import Verify
from spiritsafe.record.sketch import sketch_texts
from spiritsafe.record.words import SCRIPTS

_WORD = re.compile(r"\w+")
PERMUTATIONS, BANDS, SEED = 64, 16, 42


class Curated(NamedTuple):
    """``rows`` in their old order, each with its ``reason`` (None: kept)."""

    rows: list[Row]

    @property
    def kept(self) -> list[Row]:
        return [r for r in self.rows if r.reason is None]

    def counts(self) -> dict[str, int]:
        """How many rows were kept, and how many dropped for what (up to the colon of the reason)."""
        dropped = Counter(r.reason.split(":")[0] for r in self.rows if r.reason is not None)
        return {
            "rows": len(self.rows),
            "kept": len(self.kept),
            **{f"dropped {k}": n for k, n in sorted(dropped.items())},
        }


def shingles(text: str, n: int) -> set[tuple[str, ...]]:
    """The word ``n``-grams of a text, case-folded, punctuation left out; a shorter text is one whole shingle."""
    words = _WORD.findall(text.casefold())
    if not words:
        return set()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def curate(
    rows: Sequence[Row], section: Curate, evaluation: Iterable[str] = (), verify: Verify | None = None
) -> Curated:
    """Decide about every row. ``evaluation`` are prompts that must not be trained on; ``verify`` checks answers
    against the known ones. Steps run cheapest first and see only what those before them left.
    """
    reasons: dict[int, str] = {}

    def step(decide: Callable[[list[int]], dict[int, str]]) -> None:
        reasons.update(decide([i for i in range(len(rows)) if i not in reasons]))

    step(lambda left: {i: "held out: kept for evaluation" for i in left if rows[i].held_out})
    step(lambda left: {i: why for i in left if (why := _form(rows[i], section))})
    if section.scripts:
        step(lambda left: _scripts(rows, left, section.scripts))
    held = [r.prompt for r in rows if r.held_out]
    step(lambda left: _contaminated(rows, left, [*held, *evaluation], section.ngram))
    if section.exact:
        step(lambda left: _repeated(rows, left))
    if section.near is not None:
        near = section.near
        step(lambda left: _near(rows, left, near))
    if verify is not None:
        step(lambda left: _unverified(rows, left, verify))
    step(lambda left: _surplus(rows, left, section.keep))
    return Curated([msgspec.structs.replace(r, reason=reasons.get(i)) for i, r in enumerate(rows)])


def _form(row: Row, section: Curate) -> str | None:
    length = len(row.answer.strip())
    if length < section.min_chars:
        return f"too short: {length} characters"
    if length > section.max_chars:
        return f"too long: {length} characters"
    if section.complete and row.finish is not None and row.finish != "stop":
        return f"unfinished: the answer ended by {row.finish}"
    return None


def _scripts(rows: Sequence[Row], left: list[int], allowed: Sequence[str]) -> dict[int, str]:
    columns = sketch_texts([rows[i].answer for i in left], parts=frozenset())
    names = [SCRIPTS[s] if s >= 0 else None for s in columns.script.tolist()]
    return {i: f"language: written in {n}" for i, n in zip(left, names, strict=True) if n and n not in allowed}


def _contaminated(rows: Sequence[Row], left: list[int], evaluation: Iterable[str], n: int) -> dict[int, str]:
    seen: dict[tuple[str, ...], str] = {}
    for prompt in evaluation:
        seen.update(dict.fromkeys(shingles(prompt, n), prompt))
    found = {}
    for i in left:
        for shingle in shingles(rows[i].prompt, n):
            if shingle in seen:
                found[i] = f"contaminated: shares {' '.join(shingle)!r} with {seen[shingle][:60]!r}"
                break
    return found


def _repeated(rows: Sequence[Row], left: list[int]) -> dict[int, str]:
    first: dict[tuple[str, str], int] = {}
    found = {}
    for i in left:
        key = (normal(rows[i].prompt), normal(rows[i].answer))
        if first.setdefault(key, i) != i:
            found[i] = f"repeated: the same as {rows[first[key]].exchange_id}"
    return found


def _near(rows: Sequence[Row], left: list[int], threshold: float) -> dict[int, str]:
    """Prompts whose MinHash similarity to an earlier kept one is at least ``threshold``. Candidates come from
    banding (16 bands of 4 places): a pair at similarity s is compared with probability 1 - (1 - s^4)^16.
    """
    prompts = list(dict.fromkeys(rows[i].prompt for i in left))
    minhash = _minhash(prompts)
    bands = minhash.reshape(len(prompts), BANDS, PERMUTATIONS // BANDS)
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    double: dict[str, tuple[str, float]] = {}
    for at, prompt in enumerate(prompts):
        keys = [(band, bands[at, band].tobytes()) for band in range(BANDS)]
        rivals = sorted({other for key in keys for other in buckets[key]})
        alike = (minhash[rivals] == minhash[at]).mean(axis=1) if rivals else np.zeros(0)
        if len(alike) and alike.max() >= threshold:
            best = int(alike.argmax())
            double[prompt] = (prompts[rivals[best]], float(alike[best]))
        else:
            for key in keys:
                buckets[key].append(at)
    return {
        i: f"near duplicate: {double[rows[i].prompt][1]:.2f} like {double[rows[i].prompt][0][:60]!r}"
        for i in left
        if rows[i].prompt in double
    }


def _minhash(prompts: Sequence[str]) -> NDArray[np.uint32]:
    """MinHash over word bigrams, [n, 64]. Digits count, unlike in ``record.sketch``: two sums are two tasks."""
    out = np.empty((len(prompts), PERMUTATIONS), dtype=np.uint32)
    for at, prompt in enumerate(prompts):
        sketch = rensa.RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update([" ".join(s) for s in shingles(prompt, 2)] or [prompt])
        out[at] = sketch.digest()
    return out


def _unverified(rows: Sequence[Row], left: list[int], verify: Verify) -> dict[int, str]:
    found = {}
    for i in left:
        known = rows[i].known
        if known is None:
            found[i] = "unverified: its prompt came without a known answer"
        elif not (verdict := verify(rows[i].prompt, rows[i].answer, known)).right:
            found[i] = f"wrong: {verdict.because}"
    return found


def _surplus(rows: Sequence[Row], left: list[int], keep: str) -> dict[int, str]:
    """Rejection sampling's last step: of the answers to one prompt that passed, keep all, the first or the shortest."""
    if keep == "all":
        return {}
    groups: dict[str, list[int]] = defaultdict(list)
    for i in left:
        groups[rows[i].prompt_id].append(i)
    rank = (lambda i: (rows[i].sample, i)) if keep == "first" else (lambda i: (len(rows[i].answer), i))
    best = {min(group, key=rank) for group in groups.values()}
    return {i: f"surplus: not the {keep} of its prompt's right answers" for i in left if i not in best}
