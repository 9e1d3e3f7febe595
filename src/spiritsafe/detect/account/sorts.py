"""What sort of thing a prompt asks for: a small model that was trained on nothing but what this project wrote."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.errors import InputError
from spiritsafe.record.sketch import SKETCH
from spiritsafe.record.words import DIMENSIONS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.detect.types import BoolArray, FloatArray, Rows
    from spiritsafe.record.sketch import SketchColumns

WEIGHTS = Path(__file__).parent / "data" / "sorts.npz"
SHAPES = 5
"""How long a text is, its lines, its share of numbers and of marks, and a constant."""

SORTS = "sorts"
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Model:
    """Multinomial logistic regression: ``weights`` [DIMENSIONS + SHAPES, sorts]; ``skill`` [sorts] says which sorts
    show a capability that is worth pulling out of a model, ``manner`` [sorts] which are ways of asking for anything.
    ``sketch`` names the sketch whose embeddings it reads.
    """

    names: tuple[str, ...]
    skill: BoolArray
    manner: BoolArray
    weights: NDArray[np.float32]
    sketch: str

    def save(self, path: Path) -> None:
        """Write the model as one small file."""
        np.savez_compressed(
            path,
            names=np.array(self.names),
            skill=self.skill,
            manner=self.manner,
            weights=self.weights.astype(np.float16),
            sketch=np.str_(self.sketch),
        )


def inputs(sketches: SketchColumns) -> Rows:
    """What the model reads of each text [n, DIMENSIONS + SHAPES]."""
    assert sketches.embedding is not None
    return np.concatenate([sketches.embedding, _shapes(sketches)], axis=1, dtype=np.float32, casting="unsafe")


def _shapes(sketches: SketchColumns) -> FloatArray:
    """Lengths, and how much of a text is numbers and marks [n, SHAPES]."""
    units = np.maximum(sketches.words + sketches.numbers + sketches.marks, 1)
    shapes = (
        np.log1p(np.minimum(units, 300)) / 4.0,
        np.log1p(np.minimum(sketches.lines, 20)) / 2.0,
        2.0 * sketches.numbers / units,
        2.0 * sketches.marks / units,
        np.ones(len(units)),
    )
    return np.stack(shapes, axis=1)


def sorts_of(sketches: SketchColumns) -> Rows:
    """The chance that each text is of each sort [n, sorts], rounded to half precision. Several detectors ask for it.

    The last digits of a matrix product depend on how many rows it has, and what is seen of a text must not depend on
    the texts beside it.
    """
    if SORTS not in sketches.derived:
        sketches.derived[SORTS] = _found(sketches)
    found: Rows = sketches.derived[SORTS]
    return found


def _found(sketches: SketchColumns) -> Rows:
    assert sketches.embedding is not None
    shapes, weights = _shapes(sketches), model().weights.astype(np.float64)
    found = np.zeros((len(sketches), weights.shape[1]), dtype=np.float16)
    for start in range(0, len(sketches), _BLOCK):
        part = slice(start, start + _BLOCK)
        odds = sketches.embedding[part].astype(np.float64) @ weights[:DIMENSIONS] + shapes[part] @ weights[DIMENSIONS:]
        found[part] = _softmax(odds)
    return found.astype(np.float32)


def chances(rows: Rows, weights: NDArray[np.float32]) -> Rows:
    """Softmax of a linear map, row by row."""
    return np.asarray(_softmax(rows @ weights), dtype=np.float32)


def _softmax(odds: Rows | FloatArray) -> Rows | FloatArray:
    odds -= odds.max(axis=1, keepdims=True)
    np.exp(odds, out=odds)
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


@functools.cache
def model() -> Model:
    """The model that ships. Raises InputError if it was trained on other sketches."""
    with np.load(WEIGHTS) as stored:
        held = Model(
            tuple(stored["names"].tolist()),
            stored["skill"],
            stored["manner"],
            stored["weights"].astype(np.float32),
            str(stored["sketch"]),
        )
    if held.sketch != SKETCH or len(held.weights) != DIMENSIONS + SHAPES:
        raise InputError(
            f"the model of sorts was trained on sketches {held.sketch!r}, this version makes {SKETCH!r}",
            remedy="Train it again: python -m spiritsafe.detect.account.sorts_train",
            where=str(WEIGHTS),
        )
    return held
