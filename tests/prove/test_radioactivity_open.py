from __future__ import annotations

from collections.abc import Sequence
from pydoc_data.topics import topics

import numpy as np
import numpy.typing as npt
import pytest

from spiritsafe.errors import InputError
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.detect import TooFewTokens
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.rehearsal import Chain, numbered
from spiritsafe.prove.radioactivity_open import LEAST, masses_along, open_radioactivity

MARK = mark("kgw-k1-g0.25-d2")
KEY = key_of(bytes(range(32)), MARK.name, 1)


class Reader:
    """A chain read as a model with weights."""

    def __init__(self, chain: Chain, size: int) -> None:
        self._table = np.full((size, size), -50.0, dtype=np.float32)
        self._table[chain.rows[:, 0], chain.rows[:, 1]] = np.log(chain.probabilities())

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        return self._table[np.asarray(ids)]


class Affair:
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        texts = numbered([topics[name] for name in sorted(topics)])
        self.size = max(int(text.max()) for text in texts if text.size) + 1
        self.teacher = Chain.of(texts)
        self.marked = self.teacher.marked(MARK, KEY).write(800, 200, rng)
        self.clean = self.teacher.write(800, 200, rng)
        self.control = self.reader(self.teacher.write(800, 200, rng))
        self.windows = [row.tolist() for row in self.teacher.write(15, 200, rng)]

    def reader(self, texts: npt.NDArray[np.uint32] | list[npt.NDArray[np.uint32]]) -> Reader:
        return Reader(Chain.of(list(texts)), self.size)

    def student(self, share: float) -> Reader:
        count = round(800 * share)
        return self.reader([*self.marked[:count], *self.clean[: 800 - count]])


@pytest.fixture(scope="module")
def affair() -> Affair:
    return Affair()


def test_a_tenth_of_the_data_shows_and_none_does_not(affair: Affair) -> None:
    guilty = open_radioactivity(
        MARK, KEY, affair.student(0.1), affair.windows, subject="s", controls=[affair.control], decoys=99
    )
    assert guilty.exact.p_value < 1e-6
    assert guilty.decoys.p_value == 0.01
    innocent = open_radioactivity(
        MARK, KEY, affair.student(0.0), affair.windows, subject="s", controls=[affair.control], decoys=99
    )
    assert innocent.exact.p_value > 0.01
    assert innocent.decoys.p_value > 0.02


def test_without_a_control_it_takes_more(affair: Affair) -> None:
    student = affair.student(1.0)
    plain = open_radioactivity(MARK, KEY, student, affair.windows, subject="s", decoys=0).exact
    controlled = open_radioactivity(
        MARK, KEY, student, affair.windows, subject="s", controls=[affair.control], decoys=0
    ).exact
    assert 10 < plain.statistic < controlled.statistic
    assert plain.p_value < 1e-20


def test_controls_together_leave_less_chance_than_one(affair: Affair) -> None:
    rng, student = np.random.default_rng(2), affair.student(0.1)
    controls = [affair.reader(affair.teacher.write(200, 200, rng)) for _ in range(4)]
    one, four = (
        open_radioactivity(MARK, KEY, student, affair.windows, subject="s", controls=some, decoys=0).exact.statistic
        for some in (controls[:1], controls)
    )
    assert four > one > 4


def test_over_keys_the_statistic_has_the_stated_deviation(affair: Affair) -> None:
    rng, student = np.random.default_rng(1), affair.student(0.0)
    heights, ps = [], []
    for i in range(60):
        key = key_of(rng.bytes(32), MARK.name, i)
        found = open_radioactivity(
            MARK, key, student, affair.windows[:1], subject="null", controls=[affair.control], need=100, decoys=0
        ).exact
        heights.append(found.statistic)
        ps.append(found.p_value)
    assert np.std(heights) == pytest.approx(1.0, abs=0.35)
    assert abs(np.mean(heights)) < 0.5
    assert sum(p <= 0.05 for p in ps) <= 9


def test_masses_are_probabilities_summed_over_positions(affair: Affair) -> None:
    reader = affair.student(0.0)
    window = affair.windows[0][:30]
    rows, masses = masses_along(reader, [window, window], 1)
    dense = np.exp(reader.distributions(window).astype(np.float64))
    for (context, token), mass in list(zip(rows.tolist(), masses.tolist(), strict=True))[::50]:
        expected = sum(dense[i, token] for i, each in enumerate(window) if each == context)
        assert mass == pytest.approx(2 * expected)
    assert masses.min() >= LEAST


def test_contexts_of_two_tokens_begin_at_the_second(affair: Affair) -> None:
    rows, _ = masses_along(affair.student(0.0), [[3, 4, 5]], 2)
    assert {tuple(row[:2]) for row in rows.tolist()} == {(3, 4), (4, 5)}


def test_too_short_windows_give_a_number_and_no_p_value(affair: Affair) -> None:
    with pytest.raises(TooFewTokens, match="are needed"):
        open_radioactivity(MARK, KEY, affair.student(0.0), [affair.windows[0][:3]], subject="s")
    with pytest.raises(TooFewTokens):
        open_radioactivity(MARK, KEY, affair.student(0.0), [[]], subject="s")


def test_another_vocabulary_is_told(affair: Affair) -> None:
    with pytest.raises(InputError, match="another one"):
        open_radioactivity(MARK, KEY, _Short(), [[1, 2, 600]], subject="s")
    with pytest.raises(InputError, match="scores words"):
        open_radioactivity(mark("choice-n4-k2"), KEY, affair.student(0.0), affair.windows, subject="s")


class _Short:
    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        return np.full((len(ids), 500), -6.0, dtype=np.float32)
