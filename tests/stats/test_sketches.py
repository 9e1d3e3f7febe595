from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.stats import BottomK, BottomKState

KEYS = st.lists(st.integers(0, 60).map(lambda i: b"key %d" % i), max_size=80)


def sketch_of(keys: list[bytes], k: int = 8, seed: int = 0) -> BottomK[str]:
    sketch: BottomK[str] = BottomK(k, seed)
    for key in keys:
        sketch.add(key, key.decode())
    return sketch


@given(KEYS, st.integers(0, 2**64 - 1), st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(keys: list[bytes], seed: int, random: Any) -> None:
    again = keys * 2
    random.shuffle(again)
    assert sketch_of(again, seed=seed).state() == sketch_of(keys, seed=seed).state()


@given(KEYS, KEYS)
def test_merging_is_seeing_both_streams(left: list[bytes], right: list[bytes]) -> None:
    merged = sketch_of(left).merge(sketch_of(right))
    assert merged.state() == sketch_of(left + right).state()
    assert sketch_of(right).merge(sketch_of(left)).state() == merged.state()


@given(KEYS)
def test_few_keys_are_counted_and_kept_exactly(keys: list[bytes]) -> None:
    sketch = sketch_of(keys, k=61)
    if len(set(keys)) < 61:
        assert sketch.distinct() == len(set(keys))
        assert sorted(sketch.values()) == sorted(key.decode() for key in set(keys))


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
@given(keys=KEYS, later=KEYS, seed=st.integers(0, 2**64 - 1))
def test_a_stored_sketch_goes_on_where_it_stopped(codec: Any, keys: list[bytes], later: list[bytes], seed: int) -> None:
    sketch = sketch_of(keys, seed=seed)
    stored = codec.decode(codec.encode(sketch.state()), type=BottomKState[str])
    restored = BottomK.from_state(stored)
    assert restored.state() == sketch.state()
    for key in later:
        sketch.add(key, key.decode())
        restored.add(key, key.decode())
    assert restored.state() == sketch.state()
    assert restored.distinct() == sketch.distinct()


def test_the_count_is_unbiased_and_as_exact_as_it_says() -> None:
    n, k = 5000, 64
    keys = [b"%d" % i for i in range(n)]
    counts = []
    for seed in range(60):
        sketch: BottomK[None] = BottomK(k, seed)
        for key in keys:
            sketch.add(key, None)
        counts.append(sketch.distinct())
    error = sketch.relative_error * n
    assert abs(np.mean(counts) - n) < 4 * error / np.sqrt(60)
    assert 0.75 * error < np.std(counts) < 1.3 * error


def test_the_values_are_a_uniform_sample_of_the_keys() -> None:
    hits = np.zeros(10)
    for seed in range(300):
        sketch: BottomK[int] = BottomK(20, seed)
        for i in range(200):
            # The early keys come a hundred times as often, and are no likelier to be kept.
            for _ in range(100 if i < 20 and seed < 3 else 1):
                sketch.add(b"%d" % i, i)
        assert len(sketch.values()) == len(set(sketch.values())) == 20
        hits += np.bincount(np.array(sketch.values()) // 20, minlength=10)
    # 600 expected in each tenth, standard deviation about 23.
    assert np.all(np.abs(hits - 600) < 100)


def test_a_sample_answers_for_quantiles() -> None:
    sketch: BottomK[float] = BottomK(400, seed=1)
    for i in range(20_000):
        sketch.add(b"%d" % i, i / 20_000)
    assert np.median(sketch.values()) == pytest.approx(0.5, abs=0.1)


def test_memory_is_bounded_and_the_first_value_of_a_key_is_kept() -> None:
    sketch: BottomK[int] = BottomK(16)
    for i in range(10_000):
        sketch.add(b"%d" % i, i)
    assert len(sketch.state().entries) == 16
    kept = sketch.values()
    for i in range(10_000):
        sketch.add(b"%d" % i, -1)
    assert sketch.values() == kept


def test_another_seed_keeps_other_keys() -> None:
    keys = [b"%d" % i for i in range(1000)]
    assert set(sketch_of(keys, seed=1).values()) != set(sketch_of(keys, seed=2).values())


def test_sketches_that_do_not_fit_are_not_merged() -> None:
    for other in (BottomK[str](9, 0), BottomK[str](8, 1)):
        with pytest.raises(ValueError, match="same k and seed"):
            sketch_of([]).merge(other)


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (8, -1), (8, 2**64)])
def test_sizes_and_seeds_are_checked(k: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"k is|seed lies"):
        BottomK(k, seed)


def test_a_state_of_a_newer_version_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match=r"version 2.*Read it with the release that wrote it"):
        BottomK.from_state(BottomKState(8, 0, (), version=2))


@pytest.mark.parametrize(
    ("k", "seed", "entries"),
    [
        (3, 0, ((1, "a"), (2, "b"), (3, "c"), (4, "d"))),
        (8, 0, ((2, "a"), (1, "b"))),
        (8, 0, ((1, "a"), (1, "b"))),
        (8, 0, ((-1, "a"),)),
        (8, 0, ((2**64, "a"),)),
        (2, 0, ()),
        (8, -1, ()),
    ],
)
def test_a_state_that_was_tampered_with_is_refused(k: int, seed: int, entries: tuple[tuple[int, str], ...]) -> None:
    with pytest.raises(InputError, match="build the sketch anew"):
        BottomK.from_state(BottomKState(k, seed, entries))
