from __future__ import annotations

import zlib

import numpy as np
import pytest

from spiritsafe.protect.canaries import SPACE, canary
from spiritsafe.prove.canaries import by_naming, by_rank
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.suspect import Reply, Scored
from spiritsafe.teach.types import Sampling

KEY = bytes(range(32))
BIRDS = [canary(KEY, f"c{n}") for n in range(6)]
ONE = Sampling(seed=1, max_tokens=20)


def student(birds, passages) -> NgramSuspect:
    model = Ngram()
    for passage in passages[:200]:
        model.learn("", passage)
    for bird in birds:
        model.learn(bird.opening, bird.text[len(bird.opening) :], times=9)
    return NgramSuspect(model)


def test_planted_codes_are_ranked_first(trial) -> None:
    result = by_rank(student(BIRDS, trial.passages), BIRDS, "student", decoys=199)
    assert result.p_value < 1e-6
    assert result.effect == pytest.approx(np.log2(200), abs=0.5)
    assert "6 of 6 planted codes" in result.because[0]


def test_one_that_read_other_canaries_is_cleared(trial) -> None:
    others = [canary(bytes(32), f"c{n}") for n in range(6)]
    result = by_rank(student(others, trial.passages), BIRDS, "innocent", decoys=99)
    assert result.p_value > 0.01


class Lottery:
    """Finds texts likely by a hash of theirs, and names codes at random: it never read anything."""

    access = "logprobs"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def score(self, pairs):
        return [Scored((float(zlib.crc32(f"{self._seed}:{text}".encode()) % 1000),)) for _, text in pairs]


def test_its_size_is_what_it_says() -> None:
    ps = [by_rank(Lottery(seed), BIRDS[:3], "x", decoys=39, seed=seed).p_value for seed in range(1000)]
    assert np.mean(np.asarray(ps) <= 0.05) <= 0.07
    assert np.mean(np.asarray(ps) <= 0.01) <= 0.02
    assert 0.4 < np.mean(ps) < 0.65


def test_the_same_seed_gives_the_same_result(trial) -> None:
    suspect = student(BIRDS[:2], trial.passages)
    one, two = (by_rank(suspect, BIRDS, "x", decoys=49, seed=3) for _ in range(2))
    assert (one.p_value, one.statistic, one.because) == (two.p_value, two.statistic, two.because)


def test_a_code_that_is_named_from_text_alone_convicts(trial) -> None:
    result = by_naming(student(BIRDS, trial.passages), BIRDS, "student", ONE, samples=4)
    assert result.statistic >= 3
    assert result.p_value < 1e-6


class Guesser:
    """Names a hundred codes, the right one among them or not."""

    access = "text"

    def __init__(self, codes: str) -> None:
        self._codes = codes

    def generate(self, prompts, sampling):
        return [[Reply(text=self._codes, ending="stop")] for _ in prompts]


def test_who_names_many_codes_pays_for_each() -> None:
    from spiritsafe.protect.canaries import code_of

    many = ". ".join(code_of(n * 7) for n in range(500)) + ". " + BIRDS[0].code
    sure = by_naming(Guesser(BIRDS[0].code), BIRDS[:1], "x", ONE, samples=1)  # type: ignore[arg-type]
    unsure = by_naming(Guesser(many), BIRDS[:1], "x", ONE, samples=1)  # type: ignore[arg-type]
    assert sure.p_value == pytest.approx(1 / SPACE)
    assert unsure.p_value > 400 * sure.p_value
    assert by_naming(Guesser("nothing"), BIRDS, "x", ONE, samples=1).p_value == 1.0  # type: ignore[arg-type]
