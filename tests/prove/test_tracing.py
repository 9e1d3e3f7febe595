from __future__ import annotations

from pydoc_data.topics import topics

import numpy as np
import pytest

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.detect import TooFewTokens
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain, numbered
from spiritsafe.protect.tracing import Code
from spiritsafe.prove.radioactivity import score, weighed
from spiritsafe.prove.tracing import ALPHA, Scores, Traces, trace

MARK = Traced(1, 64, 2.0, 512)
TENANTS = [f"tenant {i}" for i in range(300)]
ROWS, LENGTH = 900, 200


class Affair:
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.teacher = Chain.of(numbered([topics[name] for name in sorted(topics)]))
        self.control = self.teacher.write(ROWS, LENGTH, rng)

    def answers(self, code: Code, tenant: str, count: int, rng: np.random.Generator) -> Words:
        lanes = prf.lanes(code.key.sip, self.teacher.rows, MARK.bits)
        logits = np.log(self.teacher.weights).astype(np.float32)
        weights = np.exp(MARK.reweigh_for(logits, lanes, code.word(tenant)).astype(np.float64))
        return self.teacher.reweighed(weights).write(count, LENGTH, rng)

    def student(self, key: MarkKey, feeders: list[str], clean: int, rng: np.random.Generator) -> list[Words]:
        """What a student writes that was fed equally by ``feeders``, and by ``clean`` rows of unmarked text."""
        code, each = Code(MARK, key), (ROWS - clean) // max(len(feeders), 1)
        data = [row for tenant in feeders for row in self.answers(code, tenant, each, rng)]
        return list(Chain.of([*data, *self.teacher.write(clean, LENGTH, rng)]).write(300, LENGTH, rng))

    def traced(self, key: MarkKey, text: list[Words], decoys: int = 0) -> Traces:
        read = weighed(MARK, text, weighing="controlled", control=self.control)
        return trace(MARK, key, read, TENANTS, subject="student", decoys=decoys)


@pytest.fixture(scope="module")
def affair() -> Affair:
    return Affair()


def fresh(rng: np.random.Generator) -> MarkKey:
    return key_of(rng.bytes(32), MARK.name, 1)


@pytest.mark.parametrize(("feeders", "clean", "least"), [(1, 0, 1), (1, 700, 1), (3, 0, 3), (3, 300, 2)])
def test_those_who_fed_the_student_are_named_and_no_others(
    affair: Affair, feeders: int, clean: int, least: int
) -> None:
    rng = np.random.default_rng(feeders + clean)
    key, guilty = fresh(rng), TENANTS[10 : 10 + 7 * feeders : 7]
    found = affair.traced(key, affair.student(key, guilty, clean, rng))
    assert set(found.named) <= set(guilty)
    assert len(found.named) >= least
    assert [result.subject for result in found.results] == ["student"] * len(TENANTS)


def test_no_innocent_is_named_whoever_fed_the_student(affair: Affair) -> None:
    """Size: 6 students, fed or not, and 300 tenants held to each; p-values of innocents hold their level."""
    rng = np.random.default_rng(1)
    innocent = []
    for i in range(6):
        key, guilty = fresh(rng), TENANTS[: i % 4]
        found = affair.traced(key, affair.student(key, guilty, 0 if guilty else ROWS, rng))
        assert set(found.named) <= set(guilty)
        innocent += [r.p_value for name, r in zip(TENANTS, found.results, strict=True) if name not in guilty]
    for level in (0.05, 0.01, 0.001):
        # Tenants of one student share its text and are independent given it.
        assert np.mean(np.array(innocent) <= level) <= level + 4 * np.sqrt(level / len(innocent))


def test_an_innocent_s_rank_among_code_words_of_nobody_is_uniform(affair: Affair) -> None:
    rng = np.random.default_rng(2)
    key = fresh(rng)
    found = affair.traced(key, affair.student(key, TENANTS[:2], 0, rng), decoys=999)
    ranks = np.array(found.decoys[2:])
    assert np.mean(ranks <= 0.05) < 0.11
    assert 0.4 < ranks.mean() < 0.6
    assert max(found.decoys[:2]) == 0.001


def test_the_mark_of_all_tenants_together_is_found_too(affair: Affair) -> None:
    rng = np.random.default_rng(3)
    key = fresh(rng)
    text = affair.student(key, TENANTS[:5], 300, rng)
    assert score(MARK, key, weighed(MARK, text), subject="student", decoys=0).exact.p_value < 1e-9


def test_the_bound_is_never_below_the_simulated_tail() -> None:
    rng = np.random.default_rng(4)
    biases = rng.beta(0.6, 0.6, 200).clip(0.01, 0.99)
    scores = Scores(rng.normal(size=200) * rng.exponential(size=200), biases)
    drawn = scores.draw(200_000, 5)
    assert drawn.mean() == pytest.approx(0.0, abs=0.02)
    assert drawn.std() == pytest.approx(1.0, abs=0.02)
    for score_ in (1.0, 2.0, 3.0):
        share = float((drawn >= score_).mean())
        assert share <= 10 ** scores.log10_tail(score_) <= 15 * share


def test_a_student_that_wrote_nothing_leans_nowhere() -> None:
    scores = Scores(np.zeros(40), np.full(40, 0.3))
    assert scores.of(np.ones(40, dtype=np.bool_)) == 0.0
    assert scores.log10_tail(0.0) == 0.0


def test_too_little_text_names_nobody_and_says_how_much_is_missing() -> None:
    with pytest.raises(TooFewTokens, match="are needed"):
        trace(MARK, key_of(bytes(32), MARK.name, 1), weighed(MARK, [[1, 2, 3]]), TENANTS, subject="short")


def test_no_tenants_give_no_results(affair: Affair) -> None:
    read = weighed(MARK, affair.control)
    found = trace(MARK, key_of(bytes(32), MARK.name, 1), read, [], subject="student", decoys=9)
    assert (found.results, found.named, found.alpha) == ((), (), ALPHA)
