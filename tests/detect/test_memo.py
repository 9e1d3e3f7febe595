"""What is remembered of a text is what would have been seen of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.memo import Memo
from spiritsafe.detect.online import Watch
from spiritsafe.record.sketch import SketchColumns, sketch_texts

DETECTORS = [detector for detector in account_detectors() if detector.sees == "prompts"]
PARTS = frozenset().union(*(detector.parts for detector in DETECTORS))
TEXTS = [f"Explain step {n} of {word}, and grade it." for n in range(40) for word in ("baking", "sailing", "law")] + [
    ""
]


def keys_of(texts: Sequence[str], seed: int = 7) -> np.ndarray:
    return pl.Series(list(texts)).hash(seed=seed).to_numpy()


def see(memo: Memo, texts: Sequence[str]) -> tuple[SketchColumns, list[bytes], list[str]]:
    asked: list[str] = []

    def text(some: np.ndarray) -> list[str]:
        asked.extend(texts[at] for at in some.tolist())
        return [texts[at] for at in some.tolist()]

    sketches, features = memo.see(keys_of(texts), text)
    return sketches, [each.tobytes() for each in features], asked


@pytest.mark.parametrize("size", [1, 16, 1 << 12])
def test_what_came_before_is_seen_the_same_whatever_was_kept(size: int) -> None:
    memo = Memo(DETECTORS, size)
    plain = sketch_texts(TEXTS, parts=PARTS)
    wanted = [detector.features(plain).tobytes() for detector in DETECTORS]
    for _ in range(3):
        sketches, features, _ = see(memo, TEXTS)
        assert features == wanted
        for name in ("template", "core", "digest", "words", "numbers", "marks", "chars"):
            assert np.array_equal(getattr(sketches, name), getattr(plain, name))


def test_a_text_that_is_kept_is_not_asked_for_again() -> None:
    memo = Memo(DETECTORS, 1 << 16)
    assert see(memo, TEXTS)[2] == TEXTS
    assert see(memo, TEXTS)[2] == []
    assert see(memo, ["new", *TEXTS])[2] == ["new"]


def test_what_comes_often_is_not_pushed_out_by_what_comes_once() -> None:
    memo = Memo(DETECTORS, 1)
    see(memo, ["often"])
    see(memo, ["often"])
    see(memo, ["once"])
    assert see(memo, ["often"])[2] == []
    see(memo, ["once"])
    see(memo, ["another"])
    assert see(memo, ["often"])[2] == ["often"]


def test_nothing_is_seen_of_nothing() -> None:
    sketches, features, asked = see(Memo(DETECTORS, 16), [])
    assert len(sketches) == 0
    assert asked == []
    assert len(features) == len(DETECTORS)


def test_a_watch_that_remembers_learns_what_one_that_does_not_learns(traffic: pl.DataFrame) -> None:
    memo = Memo(DETECTORS, 1 << 10)
    frame = traffic.head(3000)
    plain, remembering = Watch(), Watch()
    for part in frame.iter_slices(1000):
        plain.learn_batch(from_frame(part, plain.parts))
        remembering.learn_batch(from_frame(part, plain.parts, memo=memo))
    assert plain.snapshot() == remembering.snapshot()


class _Wide:
    """A detector whose features need single precision from the second text on."""

    sees = "prompts"
    name = "wide"
    parts: frozenset[str] = frozenset()

    def features(self, sketches: SketchColumns) -> np.ndarray:
        return np.where(sketches.chars > 3, 1.0 / 3.0, 1.0).astype(np.float32)[:, None]


def test_features_lose_nothing_where_half_precision_is_not_enough() -> None:
    memo = Memo([_Wide()], 1 << 10)  # type: ignore[list-item]
    call: Callable[[np.ndarray], list[str]] = lambda some: ["abc"] * len(some)  # noqa: E731
    assert memo.see(keys_of(["abc"]), call)[1][0].tolist() == [[1.0]]
    third = np.float32(1.0 / 3.0)
    for _ in range(2):
        assert memo.see(keys_of(["longer"]), lambda some: ["longer"] * len(some))[1][0].tolist() == [[third]]
    assert memo.see(keys_of(["abc"]), call)[1][0].tolist() == [[1.0]]
