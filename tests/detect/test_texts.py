"""What a table says of a text is what would have been seen of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.texts import Cut, Table, Texts, cut
from spiritsafe.record.sketch import COLUMNS, sketch_texts

DETECTORS = [detector for detector in account_detectors() if detector.sees == "prompts"]
NAMES = tuple(detector.name for detector in DETECTORS)
PARTS = frozenset().union(*(detector.parts for detector in DETECTORS))
TEXTS = [f"Explain step {n} of {word}, and grade it." for n in range(40) for word in ("baking", "sailing", "law")] + [
    ""
]


def digests(texts: Sequence[str | None]) -> pl.Series:
    asked = pl.DataFrame({"prompt": pl.Series(texts, dtype=pl.String)})
    return asked.select(pl.when(pl.col("prompt").is_not_null()).then(pl.col("prompt").hash(seed=7))).to_series()


def tables(folder: Path, texts: Sequence[str], count: int, names: tuple[str, ...] = NAMES) -> Texts:
    """Tables of texts that lie in two shares, half of them in both."""
    frame = pl.DataFrame({"text": digests(texts), "prompt": pl.Series(texts, dtype=pl.String)})
    made = []
    for number in range(count):
        mine = frame.filter(pl.col("text") % count == number)
        shares = (folder / f"{number}-a.arrow", folder / f"{number}-b.arrow")
        mine.write_ipc_stream(shares[0])
        mine.head(mine.height // 2).write_ipc_stream(shares[1])
        made.append(Table(folder / f"{number}"))
        assert cut(Cut(shares, names, made[-1])) == mine.height
    return Texts(made)


@pytest.mark.parametrize("count", [1, 3, 200])
def test_what_is_read_is_what_would_have_been_seen(tmp_path: Path, count: int) -> None:
    plain = sketch_texts(TEXTS, parts=PARTS)
    found, place = tables(tmp_path, TEXTS, count).of(digests(TEXTS))
    for detector in DETECTORS:
        assert np.array_equal(detector.features(found)[place], detector.features(plain))
    for name in COLUMNS:
        if getattr(found, name) is not None:
            assert np.array_equal(getattr(found, name)[place], getattr(plain, name))


def test_nothing_and_unknown_texts_have_no_place(tmp_path: Path) -> None:
    held = tables(tmp_path, TEXTS, 3)
    found, place = held.of(digests([TEXTS[5], None, "never written", TEXTS[5], TEXTS[2]]))
    assert len(found) == 2
    assert place[[1, 2]].tolist() == [-1, -1]
    assert place[0] == place[3] != place[4]
    assert found.words[place[[0, 4]]].tolist() == sketch_texts([TEXTS[5], TEXTS[2]]).words.tolist()


@pytest.mark.parametrize("texts", [[], TEXTS])
def test_nothing_asked_is_nothing_seen(tmp_path: Path, texts: list[str]) -> None:
    found, place = tables(tmp_path, texts, 2).of(digests([None, None]))
    assert len(found) == 0
    assert place.tolist() == [-1, -1]
    assert all(len(detector.features(found)) == 0 for detector in DETECTORS)


def test_only_what_some_detector_sees_is_kept(tmp_path: Path) -> None:
    found, _ = tables(tmp_path, TEXTS, 1, ("coverage",)).of(digests(TEXTS))
    assert found.embedding is None
    assert not found.derived


def test_a_watch_learns_from_tables_what_it_learns_from_the_texts(traffic: pl.DataFrame, tmp_path: Path) -> None:
    frame = traffic.head(3000)
    asked = frame.get_column("prompt")
    texts = tables(tmp_path, asked.drop_nulls().unique().to_list(), 4)
    plain, reading = Watch(), Watch()
    for part in frame.with_columns(text=digests(asked.to_list())).iter_slices(1000):
        plain.learn_batch(from_frame(part, plain.parts))
        reading.learn_batch(from_frame(part.drop("prompt"), plain.parts, texts=texts))
    assert plain.snapshot() == reading.snapshot()


def test_a_table_that_is_dropped_is_gone(tmp_path: Path) -> None:
    table = Table(tmp_path / "table")
    table.write(np.array([3, 9], dtype=np.uint64), np.zeros(2, dtype=[("x", "f4")]))
    assert table.digests().tolist() == [3, 9]
    assert table.rows(np.array([1])).tolist() == [(0.0,)]
    table.drop()
    assert not list(tmp_path.iterdir())
