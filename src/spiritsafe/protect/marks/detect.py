"""Is a text marked? Distinct n-grams, the exact null, and the same question under decoy keys."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from spiritsafe.errors import InputError
from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.ngrams import distinct, ngrams, without_contexts, words
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.prf import Words
from spiritsafe.stats import Exact, MonteCarlo, Result, calibrate_mixture, p_from_draws, p_from_log10
from spiritsafe.stats.types import FloatArray
from spiritsafe.teach.types import Tokenizer

VERSION = 1
DECOYS = 9_999
TEXT_EFFECT = 0.5
"""Standard deviations that one n-gram of marked text is taken to gain, when asking how many n-grams are enough."""

_POWER = 3.090 + 1.282
"""Normal quantiles of .999 and .9: enough is what would be rejected at .001 nine times in ten."""
_AT_ONCE = 1 << 17

NULL = "The text was written without regard to the key."

Sequences = Iterable[Sequence[int] | npt.NDArray[np.integer]]


class TooFewTokens(InputError):
    """There is too little distinct text for a p-value to mean anything."""

    code = "too_few_tokens"

    def __init__(self, have: int, need: int, unit: str, where: str) -> None:
        super().__init__(
            f"{have} distinct n-grams of {unit} can be scored, {need} are needed",
            where=where,
            remedy=f"Give more text: at least {need - have} more n-grams that have not occurred yet.",
        )
        self.have = have
        self.need = need


class Found(msgspec.Struct, frozen=True):
    """What was scored: ``n`` distinct n-grams out of ``met``, about whom, and what the question is called."""

    name: str
    subject: str
    null: str
    n: int
    met: int
    because: tuple[str, ...] = ()


class Detection(msgspec.Struct, frozen=True):
    """``exact``: the p-value by the null distribution. ``decoys``: the rank among keys that marked nothing.

    The two must agree; the second leans on nothing but that the key was drawn at random, and can't go below
    1 / (decoys + 1).
    """

    exact: Result
    decoys: Result


def enough(effect: float) -> int:
    """How many n-grams show ``effect`` (standard deviations an n-gram) at .001, nine times in ten."""
    return math.ceil((_POWER / effect) ** 2)


def encode(mark: Mark, texts: Iterable[str], tokenizer: Tokenizer | None) -> list[Words]:
    """Texts as the units that ``mark`` scores. Raises ``InputError`` if it scores tokens and there is no tokenizer."""
    if mark.unit == "words":
        return [words(text) for text in texts]
    if tokenizer is None:
        raise InputError(
            f"{mark.name} scores tokens, and there is no tokenizer",
            remedy="Give the tokenizer of the model that wrote the marked answers.",
        )
    return [np.asarray(tokenizer.encode(text, add_special_tokens=False), dtype=np.uint32) for text in texts]


def detect(
    mark: Mark,
    key: MarkKey,
    sequences: Sequences,
    *,
    subject: str,
    seen: Sequences = (),
    need: int | None = None,
    decoys: int = DECOYS,
    seed: int = 0,
) -> Detection:
    """Score each distinct n-gram of ``sequences`` once; one key, one text, one look.

    ``seen`` are texts that may carry the mark and that the writer had before it, such as marked answers quoted in
    its prompt: n-grams whose context occurs there are left out. Raises ``TooFewTokens`` below ``need`` n-grams
    (what ``TEXT_EFFECT`` asks for, unless told).
    """
    every = ngrams(sequences, mark.k)
    rows = without_contexts(distinct(every), ngrams(seen, mark.k))
    check_enough(rows.shape[0], need if need is not None else enough(TEXT_EFFECT), mark, subject)
    found = Found(f"mark {key.mark_id}", subject, NULL, rows.shape[0], every.shape[0])
    return judge(mark, key, rows, found=found, decoys=decoys, seed=seed)


def check_enough(have: int, need: int, mark: Mark, subject: str) -> None:
    """Raise ``TooFewTokens`` if there are fewer than ``need`` distinct n-grams, or none."""
    if have < max(need, 1):
        raise TooFewTokens(have, max(need, 1), mark.unit, subject)


def judge(mark: Mark, key: MarkKey, rows: Words, *, found: Found, decoys: int, seed: int) -> Detection:
    """Both results for distinct ``rows``, each counted once."""
    began = time.perf_counter()
    n = rows.shape[0]
    total = float(mark.score(prf.lanes(key.sip, rows, mark.bits)).sum())
    drawn = decoy_totals(mark, rows, decoys, seed)
    mean, sd = n * mark.mean, mark.sd * math.sqrt(n)
    said = f"each scored {total / n:.4f} on average, {mark.mean:.4f} without the mark"
    return described(
        mark,
        key,
        msgspec.structs.replace(found, because=(*found.because, said)),
        height=(total - mean) / sd,
        log10_p=mark.log10_tail(total, n),
        p_decoys=p_from_draws(total, drawn),
        heights=(drawn - mean) / sd,
        distribution=mark.distribution,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


def decoy_totals(mark: Mark, rows: Words, decoys: int, seed: int) -> FloatArray:
    """The sum of scores under each of ``decoys`` random keys."""
    totals = [
        mark.score(prf.lanes_under_keys(keys, rows, mark.bits)).sum(axis=1) for keys in keys_drawn(decoys, seed, rows)
    ]
    return np.concatenate(totals) if totals else np.empty(0)


def keys_drawn(decoys: int, seed: int, rows: Words) -> Iterator[npt.NDArray[np.uint64]]:
    """``decoys`` random keys, in batches of a size that suits the number of ``rows``."""
    keys = np.random.default_rng(seed).integers(0, 2**64, size=(decoys, 2), dtype=np.uint64)
    step = max(1, _AT_ONCE // max(rows.shape[0], 1))
    return (keys[start : start + step] for start in range(0, decoys, step))


def described(
    mark: Mark,
    key: MarkKey,
    found: Found,
    *,
    height: float,
    log10_p: float,
    p_decoys: float,
    heights: FloatArray,
    distribution: str,
    seed: int,
    seconds: float,
) -> Detection:
    """The two results. ``height`` is the statistic in standard deviations of its null, ``heights`` the decoys'."""
    effect, error = height / math.sqrt(found.n), 1.96 / math.sqrt(found.n)
    because = (
        f"{found.n} distinct n-grams of {mark.unit} out of {found.met}",
        *found.because,
        f"{height:.2f} standard deviations above the null; {_spread(heights)}",
        f"p = 10^{log10_p:.1f} by the {distribution}",
    )

    def result(p: float, log10: float, method: Exact | MonteCarlo) -> Result:
        return Result(
            name=found.name,
            version=VERSION,
            subject=found.subject,
            null=found.null,
            statistic=height,
            p_value=p,
            log10_e=calibrate_mixture(log10),
            n=found.n,
            unit=f"distinct n-grams of {mark.unit}",
            effect=effect,
            interval=(effect - error, effect + error),
            method=method,
            because=because,
            seconds=seconds,
        )

    exact = result(p_from_log10(log10_p), log10_p, Exact(distribution))
    return Detection(exact, result(p_decoys, math.log10(p_decoys), MonteCarlo(n=heights.size, seed=seed)))


def _spread(heights: FloatArray) -> str:
    if heights.size == 0:
        return "no decoy keys were asked for"
    return f"{heights.size} decoy keys: {heights.mean():.2f} +- {heights.std():.2f}, the highest {heights.max():.2f}"
