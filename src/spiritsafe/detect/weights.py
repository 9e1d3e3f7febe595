"""Which of an account's exchanges its evidence rests on: how far a statistic falls when one of them is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.tenant import BLOCK, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spiritsafe.detect.features import Batch
    from spiritsafe.detect.types import AccountDetector, FloatArray, HashArray, IntArray, Peers, Rows

MOST_LEFT_OUT = 512
"""Exchanges that are left out one by one, the last ones of a passage."""


class Weighing:
    """One detector's view of exchanges that were read again; their features are made once for all accounts."""

    def __init__(self, detector: AccountDetector, batch: Batch) -> None:
        self.detector = detector
        self._batch = batch
        seen = detector.features(batch.prompts) if detector.sees == "prompts" else detector.features(batch.calls())
        self._features: Rows = seen

    def statistic(self, at: IntArray, peers: Peers, left_out: IntArray) -> float:
        """The highest statistic in any passage of one account's exchanges ``at``; minus infinity without a passage."""
        passages = self._passages(at)
        return float(self._measure([p for _, p in passages], peers, left_out).max()) if passages else -np.inf

    def falls(self, at: IntArray, peers: Peers, left_out: IntArray) -> FloatArray:
        """How far the statistic falls, [len(at)], in the passage of ``at`` where it is highest, if an exchange is left
        out; 0 for those that don't weigh. A prompt that counts once weighs where it was first asked.

        ``left_out`` are the peers not to compare with.
        """
        found = np.zeros(len(at))
        passages = self._passages(at)
        if not passages:
            return found
        whole = self._measure([rows for _, rows in passages], peers, left_out)
        best = int(whole.argmax())
        places, rows = passages[best]
        without = [np.delete(rows, one) for one in range(max(0, len(rows) - MOST_LEFT_OUT), len(rows))]
        if len(rows) > 1:
            left = self._measure(without, peers, left_out)
            found[places[-len(without) :]] = np.maximum(whole[best] - left, 0.0)
        return found

    def _measure(self, passages: list[IntArray], peers: Peers, left_out: IntArray) -> FloatArray:
        """The statistic of each passage: rows of the features."""
        windows = []
        for rows in passages:
            tracker = self.detector.tracker()
            tracker.learn(self._features[rows])
            windows.append(tracker.window())
        return self.detector.measure(np.stack(windows), peers, [left_out] * len(windows)).statistic

    def _passages(self, at: IntArray) -> list[tuple[IntArray, IntArray]]:
        """Each passage that the account may have been looked at after: places in ``at``, and rows of the features."""
        detector = self.detector
        if detector.sees == "calls":
            return [(np.arange(len(at)), at)] if len(at) else []
        prompt = self._batch.prompt[at]
        asked = np.flatnonzero(prompt >= 0)
        keys = self._batch.prompts.template[prompt[asked]]
        passages = [asked[within] for within in _looks(keys, detector.every_prompt)]
        return [(places, prompt[places]) for places in passages]


def _looks(keys: HashArray, every: bool) -> Iterator[IntArray]:
    """The prompts seen at each checkpoint of each block: all of them, or each once."""
    held: list[int] = []
    for piece in pieces(keys, np.arange(len(keys)), set()):
        held += piece.every if every else piece.fresh
        if piece.reached:
            yield np.array(held)
        if piece.reached == BLOCK:
            held = []
