"""Trains the elicitation model: ``python -m spiritsafe.detect.account.elicitation_train``.

Everything it learns from is drawn from ``data/elicitation.yaml``, which was written for this project. Each
question appears in both classes, so that only what stands around it can tell them apart. A logistic
regression on which n-grams occur, with an L1 penalty (FISTA: Beck & Teboulle 2009), so that the shipped file
holds some thousand weights and unknown words weigh nothing. The same seed gives the same file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from scipy import sparse

from spiritsafe import settings
from spiritsafe.detect.account.elicitation import WEIGHTS, Model, matrix
from spiritsafe.record.sketch import NGRAM_BITS, SKETCH, sketch_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


PHRASES = Path(__file__).parent / "data" / "elicitation.yaml"
_SLOT = re.compile(r"\{([^{}]*)\}")


class Phrases(msgspec.Struct, frozen=True, kw_only=True):
    """The phrase book: for each class its families of templates, and the rules that fill their slots."""

    elicit: dict[str, list[str]]
    honest: dict[str, list[str]]
    rules: dict[str, list[str]]


def expand(template: str, rules: Mapping[str, Sequence[str]], rng: Random) -> str:
    """Draw one text: innermost slots first, ``{a|b}`` picks one, ``{name}`` draws from a rule."""

    def slot(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return rng.choice(choices) if len(choices) > 1 else rng.choice(rules[match[1]])

    while _SLOT.search(template):
        template = _SLOT.sub(slot, template)
    return template


def draw(phrases: Phrases, n: int, rng: Random) -> tuple[list[str], list[str]]:
    """Draw ``n`` honest and ``n`` eliciting texts, families in turn; pairs of them are about the same question.

    Every second honest text is its question and nothing else.
    """
    honest, elicit = sorted(phrases.honest), sorted(phrases.elicit)
    texts: tuple[list[str], list[str]] = ([], [])
    for i in range(n):
        question = expand("{q}", phrases.rules, rng).replace("{", "(").replace("}", ")")
        rules = {**phrases.rules, "q": [question]}
        wrapped = rng.choice(phrases.honest[honest[i // 2 % len(honest)]]) if i % 2 else "{q}"
        texts[0].append(expand(wrapped, rules, rng))
        texts[1].append(expand(rng.choice(phrases.elicit[elicit[i % len(elicit)]]), rules, rng))
    return texts


def fit(x: sparse.csr_array, y: NDArray[np.float64], penalty: float, steps: int) -> tuple[NDArray[np.float64], float]:
    """Minimise mean logistic loss + ``penalty`` * |w| by FISTA with a fixed step; returns weights and intercept."""
    design = sparse.hstack([x, np.ones((x.shape[0], 1))], format="csr")
    transposed = design.T.tocsr()
    # The logistic loss is (1/4n) * ||design||^2 smooth; rows have squared length of at most 41 by ``scale``.
    step = 4.0 / float(design.multiply(design).sum(axis=1).max())
    w = np.zeros(design.shape[1])
    look, momentum = w, 1.0
    for _ in range(steps):
        error = 1.0 / (1.0 + np.exp(-(design @ look))) - y
        moved = look - step * (transposed @ error) / len(y)
        shrunk = np.sign(moved) * np.maximum(np.abs(moved) - step * penalty, 0.0)
        shrunk[-1] = moved[-1]
        following = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        look = shrunk + (momentum - 1.0) / following * (shrunk - w)
        w, momentum = shrunk, following
    return w[:-1], float(w[-1])


def train(seed: int = 20261122, n: int = 24_000, penalty: float = 1e-4, steps: int = 800) -> Model:
    """Draw ``n`` texts of each class and fit the model."""
    phrases = settings.load(PHRASES, Phrases)
    rng = Random(seed)  # noqa: S311
    honest, elicit = draw(phrases, n, rng)
    counts = sketch_texts(honest + elicit, parts=frozenset({"ngrams"})).ngrams
    assert counts is not None
    y = np.concatenate([np.zeros(len(honest)), np.ones(len(elicit))])
    weights, intercept = fit(matrix(counts), y, penalty, steps)
    ids = np.flatnonzero(np.abs(weights) > 1e-3)
    return Model(ids.astype(np.uint16), weights[ids].astype(np.float32), intercept, SKETCH)


def main() -> None:
    """Train and write the weights beside the phrase book."""
    model = train()
    model.save(WEIGHTS)
    sys.stdout.write(
        f"{len(model.ids)} weights of {1 << NGRAM_BITS} buckets, intercept {model.intercept:.3f}: {WEIGHTS}\n"
    )


if __name__ == "__main__":
    main()
