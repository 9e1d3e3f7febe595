"""How much of the teacher a student kept, as a ratio with an interval, on prompts it has not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import InputError


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """``value`` is student over teacher, with the bootstrap ``interval`` at ``confidence`` over ``n`` prompts,
    resampled ``draws`` times with ``seed``. None where the teacher's own figure is 0: there is nothing to keep.
    """

    measure: str
    value: float | None
    interval: tuple[float, float] | None
    student: float
    teacher: float
    n: int
    confidence: float
    draws: int
    seed: int


def accuracy_ratio(
    student: Sequence[bool], teacher: Sequence[bool], *, confidence: float, draws: int, seed: int
) -> Ratio:
    """Share of prompts the student answers right over the teacher's share, on the same prompts in the same order."""
    s, t = np.asarray(student, dtype=np.float64), np.asarray(teacher, dtype=np.float64)
    return _ratio("accuracy", s, t, np.ones(len(s)), confidence, draws, seed)


def likelihood_ratio(
    student: Sequence[float],
    teacher: Sequence[float],
    tokens: Sequence[int],
    *,
    confidence: float,
    draws: int,
    seed: int,
) -> Ratio:
    """exp(teacher's cross-entropy - student's), both in nats a token on the same answers: the geometric mean of the
    probability that the student gives a token of the teacher's over the one the teacher gave it.

    Takes each prompt's summed nats and its count of tokens.
    """
    counts = np.asarray(tokens, dtype=np.float64)
    s, t = np.asarray(student, dtype=np.float64), np.asarray(teacher, dtype=np.float64)
    return _ratio("likelihood", s, t, counts, confidence, draws, seed)


def _ratio(
    measure: str,
    student: NDArray[np.float64],
    teacher: NDArray[np.float64],
    counts: NDArray[np.float64],
    confidence: float,
    draws: int,
    seed: int,
) -> Ratio:
    if not (len(student) == len(teacher) == len(counts)) or not len(student):
        raise InputError("a ratio needs the same prompts for both, at least one", remedy="Hold more prompts out.")
    n = len(student)
    # Resampling prompts, not tokens: tokens of one answer are not independent.
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=draws).astype(np.float64)
    everything = np.ones((1, n))
    value = float(_of(measure, everything, student, teacher, counts)[0])
    drawn = _of(measure, weights, student, teacher, counts)
    finite = drawn[np.isfinite(drawn)]
    tail = 50.0 * (1.0 - confidence)
    # A resample without a single right answer of the teacher's has no ratio; where many have none, neither has this.
    enough = len(finite) >= 0.99 * draws and np.isfinite(value)
    low, high = (float(x) for x in np.percentile(finite, [tail, 100.0 - tail])) if enough else (0.0, 0.0)
    means = float(student.sum() / counts.sum()), float(teacher.sum() / counts.sum())
    return Ratio(
        measure=measure,
        value=value if np.isfinite(value) else None,
        interval=(low, high) if enough else None,
        student=means[0],
        teacher=means[1],
        n=n,
        confidence=confidence,
        draws=draws,
        seed=seed,
    )


def _of(
    measure: str,
    weights: NDArray[np.float64],
    student: NDArray[np.float64],
    teacher: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The ratio under each row of ``weights`` [draws, prompts]."""
    if measure == "likelihood":
        ratio: NDArray[np.float64] = np.exp((weights @ teacher - weights @ student) / (weights @ counts))
        return ratio
    above, below = weights @ student, weights @ teacher
    shares: NDArray[np.float64] = np.divide(above, below, out=np.full(len(weights), np.nan), where=below > 0)
    return shares


def check_unseen(evaluated: Iterable[str], trained: Iterable[str]) -> None:
    """Raise ``InputError`` if any evaluated prompt was trained on: what a student memorised is no retention."""
    both = sorted(set(evaluated) & set(trained))
    if both:
        raise InputError(
            f"{len(both)} of the prompts to evaluate on are in the training set (first: {both[0]})",
            remedy="No retention is given for them; hold prompts out before training and evaluate on those.",
        )
