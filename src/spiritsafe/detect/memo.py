"""Keeps what detectors see of texts that came lately, so that a text that comes again isn't cut and measured again.

Campaigns and bots ask the same things in many accounts: of 18 million exchanges made from real prompts four in five
hold a text that another one held before. What is kept is told apart by 64 bits of the text, keyed for this process.
"""

from __future__ import annotations

import dataclasses
import functools
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from spiritsafe.detect.account import account_detectors
from spiritsafe.record.sketch import SketchColumns, sketch_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from spiritsafe.detect.types import AccountDetector, HashArray, IntArray, PromptDetector, Rows

MOST = 1 << 20
"""Texts that are kept: some 650 MB with the detectors that there are."""

_COLUMNS = tuple(
    field.name
    for field in dataclasses.fields(SketchColumns)
    if field.name not in ("minhash", "ngrams", "trigrams", "embedding")
)


class Memo:
    """Texts have one place each, by their key. One that was asked for again since keeps its place once when another
    text wants it: what comes often is not pushed out by what comes once.
    """

    def __init__(self, detectors: Sequence[AccountDetector], size: int = MOST) -> None:
        """``size`` is a power of two."""
        self._detectors: list[PromptDetector] = [d for d in detectors if d.sees == "prompts"]
        self._parts = frozenset().union(*(d.parts for d in self._detectors))
        self._shift = np.uint64(64 - (size.bit_length() - 1))
        self._size = size
        self.seed = secrets.randbits(63)
        self._keys = np.zeros(size, dtype=np.uint64)
        self._again = np.zeros(size, dtype=bool)
        self._held: list[NDArray[Any]] = []

    def see(self, keys: HashArray, text: Callable[[IntArray], Sequence[str]]) -> tuple[SketchColumns, tuple[Rows, ...]]:
        """Sketches, without the parts that only features are made of, and each prompt detector's features of texts with
        these ``keys``, all different. ``text`` gives those that are wanted.
        """
        place = (keys >> self._shift).astype(np.int64)
        known = (self._keys[place] == keys) & (keys != 0)
        fresh = np.flatnonzero(~known)
        made = self._made(text(fresh))
        if not self._held:
            self._held = [np.zeros((self._size, *column.shape[1:]), dtype=_small(column)) for column in made]
        found: list[NDArray[Any]] = []
        for at, column in enumerate(made):
            whole = np.empty((len(keys), *column.shape[1:]), dtype=column.dtype)
            whole[fresh] = column
            whole[known] = self._held[at][place[known]]
            found.append(whole)
        self._again[place[known]] = True
        self._keep(keys, place, fresh, made)
        columns = dict(zip(_COLUMNS, found, strict=False))
        sketches = SketchColumns(**columns, minhash=None, ngrams=None, trigrams=None, embedding=None)
        return sketches, tuple(found[len(_COLUMNS) :])

    def _made(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        sketches = sketch_texts(texts, parts=self._parts)
        columns = [getattr(sketches, name) for name in _COLUMNS]
        return [*columns, *(detector.features(sketches) for detector in self._detectors)]

    def _keep(self, keys: HashArray, place: IntArray, fresh: IntArray, made: list[NDArray[Any]]) -> None:
        wanted, first = np.unique(place[fresh], return_index=True)
        free = ~self._again[wanted]
        self._again[wanted] = False
        wanted, first = wanted[free], first[free]
        self._keys[wanted] = keys[fresh[first]]
        for at, column in enumerate(made):
            new = column[first]
            if self._held[at].dtype != column.dtype and not _fits(new):
                self._held[at] = self._held[at].astype(column.dtype)
            self._held[at][wanted] = new


def _small(column: NDArray[Any]) -> np.dtype[Any]:
    """Half the width where nothing is lost by it, as of embeddings, which are half precision from the start."""
    return np.dtype(np.float16) if column.dtype == np.float32 and _fits(column) else column.dtype


def _fits(column: NDArray[Any]) -> bool:
    with np.errstate(over="ignore"):
        return bool((column.astype(np.float16) == column).all())


@functools.lru_cache(maxsize=1)
def memo(names: tuple[str, ...]) -> Memo:
    """This process's memo for the detectors of these names."""
    return Memo([detector for detector in account_detectors() if detector.name in names])
