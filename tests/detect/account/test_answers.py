from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spiritsafe.detect.account.answers import MOST_PROMPTS, Answers
from spiritsafe.detect.calls import Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.types import CallDetector, Measured

Scored = Callable[[CallDetector, Calls], Measured]


def prompts(n: int, times: int = 1) -> np.ndarray:
    digests = np.random.default_rng(n).integers(1, 2**63, n).astype(np.uint64) * np.uint64(2) + np.uint64(1)
    return np.repeat(digests, times)


def drawn(calls: Callable[..., Calls], scored: Scored, digest: np.ndarray, **params: object) -> Measured:
    return scored(Answers(), calls(np.arange(len(digest)) * 60.0, digest, **params))


def test_n_and_the_same_prompt_again_are_several_answers(calls: Callable[..., Calls], scored: Scored) -> None:
    assert drawn(calls, scored, prompts(100)).effect[0] == 0.0
    assert drawn(calls, scored, prompts(100), n=4.0).effect[0] == 1.0
    assert drawn(calls, scored, prompts(100, times=4)).effect[0] == 1.0


def test_at_temperature_0_the_same_prompt_is_asked_for_other_reasons(
    calls: Callable[..., Calls], scored: Scored
) -> None:
    assert drawn(calls, scored, prompts(100, times=4), temperature=0.0).effect[0] == 0.0
    assert drawn(calls, scored, prompts(100, times=4), temperature=0.7).effect[0] == 1.0
    assert drawn(calls, scored, prompts(100), temperature=0.0, n=4.0).effect[0] == 1.0


def test_one_prompt_a_thousand_times_is_one_prompt(calls: Callable[..., Calls], scored: Scored) -> None:
    digest = np.concatenate([prompts(100), np.full(1000, 7, dtype=np.uint64)])
    assert drawn(calls, scored, digest).effect[0] < 0.02
    few = drawn(calls, scored, np.full(1000, 7, dtype=np.uint64))
    assert few.effect[0] == 1.0
    assert few.statistic[0] < 0.25


def test_the_prompts_that_are_kept_stand_for_all(calls: Callable[..., Calls], scored: Scored) -> None:
    half = np.concatenate([prompts(3000), prompts(3000)[::2]])
    found = drawn(calls, scored, np.random.default_rng(1).permutation(half))
    assert 0.35 < found.effect[0] < 0.65
    tracker = Answers().tracker()
    tracker.learn(Answers().features(calls(np.arange(3000.0), prompts(3000))))
    assert tracker.window()[1] == MOST_PROMPTS


def test_calls_without_a_prompt_are_no_evidence(calls: Callable[..., Calls], scored: Scored) -> None:
    found = drawn(calls, scored, np.zeros(500, dtype=np.uint64), n=8.0)
    assert not is_known(found.statistic).any()
