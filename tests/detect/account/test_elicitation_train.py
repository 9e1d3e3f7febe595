from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy import sparse

from spiritsafe import settings
from spiritsafe.detect.account.elicitation import matrix
from spiritsafe.detect.account.elicitation_train import PHRASES, Phrases, draw, expand, fit, train
from spiritsafe.record.sketch import sketch_texts


@pytest.fixture(scope="module")
def phrases() -> Phrases:
    return settings.load(PHRASES, Phrases)


def test_slots_are_filled_from_the_inside_out() -> None:
    rules = {"x": ["deep"]}
    assert expand("{a {x}|b {x}}", rules, Random(0)) in ("a deep", "b deep")
    assert expand("no slots", rules, Random(0)) == "no slots"


def test_every_template_can_be_expanded(phrases: Phrases) -> None:
    for families in (phrases.elicit, phrases.honest, {"rules": [t for texts in phrases.rules.values() for t in texts]}):
        for texts in families.values():
            for template in texts:
                for seed in range(4):
                    assert "{" not in expand(template, {**phrases.rules, "q": ["what?"]}, Random(seed))


def test_both_classes_ask_the_same_questions(phrases: Phrases) -> None:
    honest, elicit = draw(phrases, 40, Random(4))
    bare = honest[::2]
    inside = sum(question in wrapped for question, wrapped in zip(bare, elicit[::2], strict=True))
    assert inside > 10


def test_the_same_seed_draws_the_same_texts(phrases: Phrases) -> None:
    assert draw(phrases, 30, Random(1)) == draw(phrases, 30, Random(1))
    assert draw(phrases, 30, Random(1)) != draw(phrases, 30, Random(2))


def test_the_fit_finds_what_tells_the_classes_apart_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0.0, 1.0], 300)
    x = (rng.random((600, 12)) < 0.4).astype(float)
    x[:, 3] = y
    weights, _ = fit(sparse.csr_array(x), y, penalty=0.02, steps=400)
    assert weights[3] > 1.0
    assert np.abs(np.delete(weights, 3)).max() < 0.3


def test_a_small_training_separates_templates_it_has_not_seen(phrases: Phrases) -> None:
    def part(families: dict[str, list[str]], odd: bool) -> dict[str, list[str]]:
        return {name: texts[int(odd) :: 2] for name, texts in families.items()}

    seen, unseen = (
        Phrases(elicit=part(phrases.elicit, odd), honest=part(phrases.honest, odd), rules=phrases.rules)
        for odd in (False, True)
    )
    honest, elicit = draw(seen, 1500, Random(1))
    held = sketch_texts(honest + elicit, parts=frozenset({"ngrams"})).ngrams
    assert held is not None
    weights, intercept = fit(matrix(held), np.repeat([0.0, 1.0], 1500), penalty=3e-4, steps=150)
    honest, elicit = draw(unseen, 300, Random(2))
    new = sketch_texts(honest + elicit, parts=frozenset({"ngrams"})).ngrams
    assert new is not None
    odds = matrix(new) @ weights + intercept
    wins = (odds[300:, None] > odds[None, :300]).mean()
    assert wins > 0.8


def test_the_same_seed_gives_the_same_model() -> None:
    one, two = (train(seed=1, n=200, steps=20) for _ in range(2))
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.weights, two.weights)
    assert one.intercept == two.intercept
