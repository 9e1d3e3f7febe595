"""What every mark must do, whoever wrote it. A new scheme is covered by standing in the registry's examples."""

from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.choice import choose
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.ngrams import distinct, ngrams, words
from spiritsafe.protect.marks.registry import EXAMPLES, SCHEMES, mark
from spiritsafe.protect.marks.types import ChoiceMark, LogitMark, Mark
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain

NAMES = [*EXAMPLES, "kgw-k2-g0.30078125-d1.5", "gumbel-k1", "tournament-m8-k1", "choice-n8-k1"]
LOGIT = [name for name in NAMES if isinstance(mark(name), LogitMark)]
FREE = [name for name in LOGIT if getattr(mark(name), "distortion_free", False)]
CHOICE = [name for name in NAMES if isinstance(mark(name), ChoiceMark)]


@pytest.fixture(params=NAMES)
def any_mark(request: pytest.FixtureRequest) -> Mark:
    return mark(request.param)


@pytest.fixture(params=LOGIT)
def logit_mark(request: pytest.FixtureRequest) -> LogitMark:
    found = mark(request.param)
    assert isinstance(found, LogitMark)
    return found


def marked_text(mark: Mark, key: MarkKey, writer: Chain, rng: np.random.Generator) -> list[Words]:
    if isinstance(mark, LogitMark):
        return writer.write_marked(mark, key, 12, 150, rng)
    texts = []
    assert isinstance(mark, ChoiceMark)
    for _ in range(60):
        drawn = writer.write(mark.candidates, 40, rng)
        heights = [mark.score(prf.lanes(key.sip, distinct(ngrams([row], mark.k)), mark.bits)).mean() for row in drawn]
        texts.append(drawn[int(np.argmax(heights))])
    return texts


def test_every_scheme_has_an_example() -> None:
    assert {name.partition("-")[0] for name in EXAMPLES} == set(SCHEMES)


def test_the_name_gives_the_mark_back(any_mark: Mark) -> None:
    assert mark(any_mark.name) == any_mark


def test_scores_have_the_stated_mean_and_deviation(any_mark: Mark) -> None:
    lanes = np.random.default_rng(1).integers(0, 2**any_mark.bits, 200_000, dtype=np.uint32)
    scores = any_mark.score(lanes)
    assert scores.shape == lanes.shape
    assert scores.mean() == pytest.approx(any_mark.mean, abs=5 * any_mark.sd / np.sqrt(200_000))
    assert scores.std() == pytest.approx(any_mark.sd, rel=0.02)


@pytest.mark.parametrize("n", [1, 7, 400])
def test_the_tail_is_that_of_a_sum_of_scores(any_mark: Mark, n: int) -> None:
    lanes = np.random.default_rng(n).integers(0, 2**any_mark.bits, (8_000, n), dtype=np.uint32)
    totals = any_mark.score(lanes).sum(axis=1)
    for quantile in (0.5, 0.9, 0.99):
        total = float(np.quantile(totals, quantile, method="inverted_cdf"))
        share = float((totals >= total).mean())
        assert 10 ** any_mark.log10_tail(total, n) == pytest.approx(share, abs=5 * np.sqrt(share / 8_000))


def test_the_cumulant_is_that_of_a_score(any_mark: Mark) -> None:
    lanes = np.random.default_rng(2).integers(0, 2**any_mark.bits, 200_000, dtype=np.uint32)
    scores = any_mark.score(lanes)
    for t in (-0.8, -0.1, 0.0, 0.1, 0.3):
        sampled = np.exp(t * scores)
        stated = float(any_mark.cumulant(np.array([t]))[0])
        assert np.exp(stated) == pytest.approx(sampled.mean(), abs=6 * sampled.std() / np.sqrt(200_000) + 1e-8)


def test_marked_text_is_found_and_only_with_its_key(
    any_mark: Mark, key: MarkKey, other_key: MarkKey, writer2: Chain
) -> None:
    texts = marked_text(any_mark, key, writer2, np.random.default_rng(3))
    found = detect(any_mark, key, texts, subject="marked", decoys=99)
    assert found.exact.p_value < 1e-6
    assert found.decoys.p_value == 0.01
    assert found.exact.log10_e > 3
    assert detect(any_mark, other_key, texts, subject="marked", decoys=0).exact.p_value > 1e-3


def test_unmarked_text_is_not_found(any_mark: Mark, key: MarkKey, english: list[Words]) -> None:
    assert detect(any_mark, key, english, subject="English", decoys=0).exact.p_value > 1e-3


def test_text_that_is_repeated_tells_nothing_new(any_mark: Mark, key: MarkKey, english: list[Words]) -> None:
    once = detect(any_mark, key, english[:5], subject="English", decoys=0, need=1).exact
    often = detect(any_mark, key, english[:5] * 20, subject="English", decoys=0, need=1).exact
    assert (often.n, often.statistic, often.p_value) == (once.n, once.statistic, once.p_value)


def test_the_p_value_is_uniform_over_keys_on_real_english(any_mark: Mark, english: list[Words]) -> None:
    """Size: 200 keys that marked nothing, each against a stretch of English with its repetitions."""
    text = np.concatenate(english)
    rng = np.random.default_rng(5)
    ps = []
    for number in range(200):
        start = int(rng.integers(0, text.size - 1500))
        key = key_of(rng.bytes(32), any_mark.name, number)
        ps.append(detect(any_mark, key, [text[start : start + 1500]], subject="null", decoys=0).exact.p_value)
    # Upper 99.9% points of a binomial count of 200.
    assert sum(p <= 0.05 for p in ps) <= 21
    assert sum(p <= 0.01 for p in ps) <= 8
    assert sum(p <= 0.5 for p in ps) <= 123


def test_the_same_input_gives_the_same_result(any_mark: Mark, key: MarkKey, english: list[Words]) -> None:
    first, second = (
        detect(any_mark, key, english[:6], subject="English", decoys=50, seed=9, need=1).decoys for _ in range(2)
    )
    assert (first.p_value, first.statistic, first.because) == (second.p_value, second.statistic, second.because)


def test_reweighing_leaves_its_argument_alone_and_some_token_to_draw(logit_mark: LogitMark, key: MarkKey) -> None:
    rng = np.random.default_rng(6)
    logits = rng.normal(size=300).astype(np.float32)
    logits[rng.random(300) < 0.5] = -np.inf
    kept = logits.copy()
    out = logit_mark.reweigh(logits, prf.lanes_of_vocabulary(key.sip, [4] * logit_mark.k, 300, logit_mark.bits))
    np.testing.assert_array_equal(logits, kept)
    assert out.dtype == np.float32
    assert np.isfinite(out).any()
    assert not np.isfinite(out[~np.isfinite(logits)]).any(), "a token that was ruled out must stay so"


@pytest.mark.parametrize("name", FREE)
def test_a_mark_that_claims_it_keeps_the_distribution_over_keys(name: str) -> None:
    logit_mark = mark(name)
    assert isinstance(logit_mark, LogitMark)
    rng = np.random.default_rng(7)
    chances = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    logits = np.log(chances).astype(np.float32)
    total = np.zeros(5)
    for _ in range(1000):
        sip = prf.sip_key(rng.bytes(16))
        out = logit_mark.reweigh(logits, prf.lanes_of_vocabulary(sip, [1] * logit_mark.k, 5, logit_mark.bits))
        masses = np.exp(out - out.max())
        total += masses / masses.sum()
    np.testing.assert_allclose(total / 1000, chances, atol=5 * 0.5 / np.sqrt(1000))


@pytest.mark.parametrize("name", CHOICE)
def test_the_choice_falls_on_the_answer_that_scores_highest(name: str, key: MarkKey) -> None:
    found = mark(name)
    assert isinstance(found, ChoiceMark)
    answers = [f"the {a} still makes the {b} spirit and {c} keeps it" for a in "pq" for b in "rs" for c in "tu"]
    picked = choose(found, key.sip, answers)
    heights = []
    for answer in answers:
        rows = distinct(ngrams([words(answer)], found.k))
        heights.append(found.score(prf.lanes(key.sip, rows, found.bits)).mean())
    assert heights[picked] == max(heights)
