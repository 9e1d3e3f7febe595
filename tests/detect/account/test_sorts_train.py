from __future__ import annotations

from random import Random

import numpy as np

from spiritsafe.detect.account.sorts import chances, model
from spiritsafe.detect.account.sorts_train import draw, fit, load, train


def test_every_template_can_be_drawn() -> None:
    topics, rules = load()
    for name, templates in topics.sorts.items():
        for template in templates:
            texts, sort = draw(
                topics.__class__(skills=[], manners=[], sorts={name: [template]}, rules={}), rules, 3, Random(1)
            )
            assert all(text.strip() for text in texts), template
            assert "<<" not in "".join(texts)
            assert sort.tolist() == [0, 0, 0]


def test_every_skill_is_a_sort_and_the_shipped_model_knows_the_same() -> None:
    topics, _ = load()
    assert set(topics.skills) | set(topics.manners) < set(topics.sorts)
    assert not set(topics.skills) & set(topics.manners)
    assert {n for n, is_manner in zip(model().names, model().manner, strict=True) if is_manner} == set(topics.manners)
    assert model().names == tuple(sorted(topics.sorts))
    assert {n for n, is_skill in zip(model().names, model().skill, strict=True) if is_skill} == set(topics.skills)


def test_the_same_seed_draws_the_same() -> None:
    topics, rules = load()
    assert draw(topics, rules, 2, Random(3))[0] == draw(topics, rules, 2, Random(3))[0]


def test_what_can_be_told_apart_is() -> None:
    rng = np.random.default_rng(2)
    sort = np.arange(300) % 3
    rows = (np.eye(3)[sort] + 0.2 * rng.normal(size=(300, 3))).astype(np.float32)
    found = chances(rows, fit(rows, sort, 3, 1e-4, 60))
    assert (found.argmax(axis=1) == sort).mean() > 0.98
    assert chances(rows, fit(rows, sort, 3, 100.0, 60)).max() < 0.5


def test_a_small_training_makes_a_model_that_is_like_the_shipped_one() -> None:
    small = train(each=6, steps=15)
    assert small.names == model().names
    assert small.weights.shape == model().weights.shape
