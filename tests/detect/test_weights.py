"""What is planted among plain exchanges is what weighs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spiritsafe.detect.account.coverage import Coverage
from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.account.population import Population
from spiritsafe.detect.features import Batch
from spiritsafe.detect.types import Measured, Peers
from spiritsafe.detect.weights import Weighing

NONE = np.zeros(0, dtype=np.int64)
PLAIN = Peers(np.zeros((0, 1), dtype=np.float32))


@pytest.fixture
def planted(
    actor: type[Any],
    batch_of: Callable[..., Batch],
    centres: Callable[..., np.ndarray],
    sketches: Callable[..., Any],
    elicits: tuple[np.ndarray, np.ndarray],
) -> tuple[Batch, list[int]]:
    """Sixty plain prompts and three that are of something else, and worded to elicit."""
    centre = centres(2, 7)
    batch = batch_of([actor("a", centre[0], 63, spread=0.02)])
    points = batch.prompts.embedding.astype(np.float64)
    three = [11, 30, 47]
    points[three] = centre[1]
    ids = [elicits[0] if row in three else elicits[1] for row in range(63)]
    return replace(batch, prompts=sketches(points, batch.prompts.template, ids)), three


def test_three_strange_prompts_among_sixty_plain_ones_weigh_most(
    planted: tuple[Batch, list[int]], actor: type[Any], batch_of: Callable[..., Batch], centres: Callable[..., Any]
) -> None:
    batch, three = planted
    detector = Population()
    others = batch_of([actor(f"h{i}", centres(2, 7)[0], 60, spread=0.02) for i in range(8)], seed=1)
    rows = []
    for owner in range(8):
        tracker = detector.tracker()
        tracker.learn(detector.features(others.prompts)[others.owner == owner])
        rows.append(tracker.window())
    falls = Weighing(detector, batch).falls(np.arange(63), Peers(np.stack(rows)), NONE)
    assert sorted(np.argsort(-falls)[:3].tolist()) == three
    assert falls[three].min() > 2.0 * np.delete(falls, three).max()


def test_three_eliciting_prompts_among_sixty_plain_ones_weigh_most(planted: tuple[Batch, list[int]]) -> None:
    batch, three = planted
    falls = Weighing(Elicitation(), batch).falls(np.arange(63), PLAIN, NONE)
    assert sorted(np.argsort(-falls, kind="stable")[:3].tolist()) == three
    assert falls.min() >= 0.0


def test_a_prompt_that_came_twice_weighs_where_it_came_first(planted: tuple[Batch, list[int]]) -> None:
    batch, _ = planted
    twice = batch.prompts.template.copy()
    twice[47] = twice[30]
    batch = replace(batch, prompts=replace(batch.prompts, template=twice))
    falls = Weighing(Elicitation(), batch).falls(np.arange(63), PLAIN, NONE)
    assert falls[47] == 0.0
    assert falls[30] > 0.0


def test_who_comes_back_weighs_less_than_who_does_not(planted: tuple[Batch, list[int]]) -> None:
    batch, _ = planted
    core = batch.prompts.core.copy()
    core[5] = core[4]
    batch = replace(batch, prompts=replace(batch.prompts, core=core))
    weighing = Weighing(Coverage(), batch)
    falls = weighing.falls(np.arange(63), PLAIN, NONE)
    assert falls[4] == falls[5] == 0.0  # without the repetition it would look worse
    assert falls[6] > 0.0
    assert weighing.statistic(np.arange(63), PLAIN, NONE) > 0.0


def test_the_passage_where_it_is_highest_is_looked_at(planted: tuple[Batch, list[int]]) -> None:
    """Three in the first sixteen weigh more than three in sixty: the rest of the block is no part of it."""
    batch, _ = planted
    order = np.concatenate([[11, 30, 47], np.delete(np.arange(63), [11, 30, 47])])
    falls = Weighing(Elicitation(), batch).falls(order, PLAIN, NONE)
    assert (falls[:3] > 0.0).all()
    assert (falls[16:] == 0.0).all()


def test_too_few_have_no_passage_and_one_leaves_nothing(planted: tuple[Batch, list[int]]) -> None:
    batch, _ = planted
    weighing = Weighing(Elicitation(), batch)
    assert weighing.statistic(np.arange(10), PLAIN, NONE) == -np.inf
    assert not weighing.falls(np.arange(10), PLAIN, NONE).any()
    assert not weighing.falls(NONE, PLAIN, NONE).any()


class _Late:
    """Sees calls: the latest time."""

    sees = "calls"
    name = "late"

    def features(self, calls: Any) -> np.ndarray:
        return np.asarray(calls.seconds[:, None] - 1.8e9, dtype=np.float32)

    def tracker(self) -> Any:
        return _Most()

    def measure(self, windows: np.ndarray, peers: Peers, left_out: Any) -> Measured:
        n = len(windows)
        return Measured(windows[:, 0].astype(np.float64), np.zeros(n), np.zeros(n, dtype=np.int64))


class _Most:
    def __init__(self) -> None:
        self.most = 0.0

    def learn(self, rows: np.ndarray) -> None:
        self.most = max(self.most, float(rows.max(initial=0.0)))

    def window(self) -> np.ndarray:
        return np.array([self.most], dtype=np.float32)


def test_calls_are_left_out_one_by_one_too(planted: tuple[Batch, list[int]]) -> None:
    batch, _ = planted
    falls = Weighing(_Late(), batch).falls(np.arange(63), PLAIN, NONE)  # type: ignore[arg-type]
    assert np.flatnonzero(falls).tolist() == [int(batch.seconds.argmax())]
