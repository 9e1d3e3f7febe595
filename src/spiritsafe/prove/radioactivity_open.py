"""Radioactivity with the weights at hand: whole next-token distributions along texts, instead of drawn tokens.

The suspect reads windows of text that carries no mark of ours, and at each position its probabilities are added up by
n-gram. No token is drawn, so there is no sampling noise, and the variance under the null is exact: the key alone is
random. The windows must not be marked: a model copies what stands before it, trained on it or not. The best are
answers that the teacher, without its mark, gives to the questions that it answered with it, several to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spiritsafe.errors import InputError
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import DECOYS, Detection, Found, check_enough, enough
from spiritsafe.protect.marks.ngrams import tallied
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.marks.weighted import judge_weighted
from spiritsafe.protect.prf import Words
from spiritsafe.prove.radioactivity import EFFECT, NULL, residuals
from spiritsafe.stats.types import FloatArray

LEAST = 1e-4
"""Tokens less likely than this at a position are not counted there: they hold little mass and most of the memory."""

FLOOR = 0.1


class Reader(Protocol):
    """The part of a ``Suspect`` with weights that is needed here."""

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Natural log-probabilities ``[len(ids), vocabulary]``: row i is for the token after ``ids[i]``."""
        ...


def open_radioactivity(
    mark: Mark,
    key: MarkKey,
    suspect: Reader,
    windows: Sequence[Sequence[int]],
    *,
    subject: str,
    controls: Sequence[Reader] = (),
    need: int | None = None,
    decoys: int = DECOYS,
    seed: int = 0,
) -> Detection:
    """Score the suspect's distributions along ``windows``, less the mean of those of ``controls`` where some are given.

    Its vocabulary must be that of the marked answers. Without a control an n-gram's weight is the square root of its
    summed probability, with one a Pearson residual; several controls differ less from an innocent by chance. Raises
    ``InputError`` for a mark of words or another vocabulary, ``TooFewTokens`` where the windows hold too little.
    """
    if mark.unit != "tokens":
        raise InputError(f"{mark.name} scores {mark.unit}", where=subject, remedy="Use the closed form.")
    rows, masses = masses_along(suspect, windows, mark.k)
    check_enough(rows.shape[0], need if need is not None else enough(EFFECT), mark, subject)
    positions = sum(max(len(window) - mark.k + 1, 0) for window in windows)
    form = "controlled" if controls else "plain"
    because = (f"{positions} positions in {len(windows)} windows; probabilities below {LEAST:g} were left out",)
    found = Found(f"radioactivity open {form} {key.mark_id}", subject, NULL, rows.shape[0], positions, because)
    weights = np.sqrt(masses)
    if controls:
        each = [masses_along(control, windows, mark.k) for control in controls]
        expected = np.concatenate([part for _, part in each]) / len(controls)
        rows, weights = residuals(
            rows, masses, *tallied(np.concatenate([part for part, _ in each]), expected), floor=FLOOR
        )
    return judge_weighted(mark, key, rows, weights, found=found, decoys=decoys, seed=seed)


def masses_along(reader: Reader, windows: Sequence[Sequence[int]], k: int) -> tuple[Words, FloatArray]:
    """The n-grams that ``reader`` thinks may come (``[n, k + 1]``), each with its probability summed over positions."""
    rows: list[Words] = []
    masses: list[FloatArray] = []
    size: int | None = None
    for window in windows:
        if len(window) < k:
            continue
        chances = np.exp(reader.distributions(window)[k - 1 :].astype(np.float64))
        if size is not None and chances.shape[1] != size:
            raise InputError("the vocabulary changes size", remedy="Use one suspect, with one tokenizer.")
        size = chances.shape[1]
        if max(window) >= size:
            raise InputError(
                f"the windows hold token {max(window)}, the suspect knows {size}",
                remedy="Its tokenizer is another one: use the closed form, which reads text.",
            )
        contexts = np.lib.stride_tricks.sliding_window_view(np.asarray(window, dtype=np.uint32), k)
        position, token = np.nonzero(chances >= LEAST)
        rows.append(np.column_stack([contexts[position], token.astype(np.uint32)]))
        masses.append(chances[position, token])
    if not rows:
        return np.empty((0, k + 1), dtype=np.uint32), np.empty(0)
    return tallied(np.concatenate(rows), np.concatenate(masses))
