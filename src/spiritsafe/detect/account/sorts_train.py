"""Trains the model of sorts: ``python -m spiritsafe.detect.account.sorts_train``.

Everything it learns from is drawn from ``data/topics.yaml`` and the rules of ``data/elicitation.yaml``, both written
for this project. Multinomial logistic regression with a squared penalty, minimised by L-BFGS.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import msgspec
import numpy as np
from scipy.optimize import minimize

from spiritsafe import settings
from spiritsafe.detect.account.elicitation_train import PHRASES, Phrases, expand
from spiritsafe.detect.account.sorts import WEIGHTS, Model, inputs
from spiritsafe.detect.types import FloatArray, IntArray, Rows
from spiritsafe.record.sketch import SKETCH, sketch_texts

TOPICS = Path(__file__).parent / "data" / "topics.yaml"
_BEFORE = ("Hi, ", "Hello. ", "One question. ", "I wonder, ", "Please: ")
_AFTER = (" Thanks.", " Please.", " Keep it short.", " thx", "!")


class Topics(msgspec.Struct, frozen=True, kw_only=True):
    """The book of sorts: for each its templates; which show a skill, which are but a manner; rules that fill slots."""

    skills: list[str]
    manners: list[str]
    sorts: dict[str, list[str]]
    rules: dict[str, list[str]]


def load() -> tuple[Topics, dict[str, list[str]]]:
    """The book, and its rules with those of the phrase book that it builds on."""
    topics = settings.load(TOPICS, Topics)
    return topics, {**settings.load(PHRASES, Phrases).rules, **topics.rules}


def draw(topics: Topics, rules: dict[str, list[str]], each: int, rng: Random) -> tuple[list[str], IntArray]:
    """Draw ``each`` texts of every sort, some with a greeting or thanks, some in lower case; and the number of each
    text's sort in the order of the sorts' names.
    """
    texts, sort = [], []
    for number, name in enumerate(sorted(topics.sorts)):
        for _ in range(each):
            text = expand(rng.choice(topics.sorts[name]), rules, rng).replace("<<", "{").replace(">>", "}")
            text = rng.choice(_BEFORE) + text if rng.random() < 0.3 else text
            text = text + rng.choice(_AFTER) if rng.random() < 0.3 else text
            texts.append(text.lower() if rng.random() < 0.15 else text)
            sort.append(number)
    return texts, np.array(sort, dtype=np.int64)


def fit(rows: Rows, sort: IntArray, sorts: int, penalty: float, steps: int) -> Rows:
    """Minimise mean log loss + ``penalty`` * |w|^2: weights [width, sorts]."""
    truth = np.eye(sorts, dtype=np.float32)[sort]

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        weights = flat.reshape(rows.shape[1], sorts).astype(np.float32)
        odds = rows @ weights
        odds -= odds.max(axis=1, keepdims=True)
        total = np.log(np.exp(odds).sum(axis=1))
        value = float((total - (odds * truth).sum(axis=1)).mean() + penalty * (weights**2).sum())
        error = np.exp(odds - total[:, None]) - truth
        slope = rows.T @ error / len(rows) + 2.0 * penalty * weights
        return value, slope.ravel().astype(np.float64)

    found = minimize(loss, np.zeros(rows.shape[1] * sorts), jac=True, method="L-BFGS-B", options={"maxiter": steps})
    weights: Rows = found.x.reshape(rows.shape[1], sorts).astype(np.float32)
    return weights


def train(seed: int = 20261122, each: int = 600, penalty: float = 1e-5, steps: int = 150) -> Model:
    """Draw ``each`` texts of every sort and fit the model."""
    topics, rules = load()
    texts, sort = draw(topics, rules, each, Random(seed))  # noqa: S311
    rows = inputs(sketch_texts(texts, parts=frozenset({"embedding"})))
    names = tuple(sorted(topics.sorts))
    skill, manner = (np.array([name in held for name in names]) for held in (topics.skills, topics.manners))
    return Model(names, skill, manner, fit(rows, sort, len(names), penalty, steps), SKETCH)


def main() -> None:
    """Train and write the weights beside the book."""
    model = train()
    model.save(WEIGHTS)
    sys.stdout.write(f"{len(model.names)} sorts, {int(model.skill.sum())} of them skills: {WEIGHTS}\n")


if __name__ == "__main__":
    main()
