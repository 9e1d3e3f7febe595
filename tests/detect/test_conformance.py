"""What every account detector must hold, whoever wrote it. Each one that is registered is put through all of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.calls import PARAMS, Calls
from spiritsafe.detect.middles import is_known
from spiritsafe.detect.ring import RING_DETECTORS
from spiritsafe.detect.types import AccountDetector, LinkTable, Measured, Peers, PromptDetector, RingDetector
from spiritsafe.record.sketch import SketchColumns, columns_of, sketch_text, sketch_texts

NOBODY = np.zeros(0, dtype=np.int64)
DETECTORS = account_detectors()
TEXTS = [
    f"{verb} the {noun} {i}th time"
    for i, (verb, noun) in enumerate(
        (v, n) for v in ("read", "write", "sort", "paint") for n in ("book", "table", "lake", "song", "code")
    )
]
ODD = ["", " ", "\x00", "思考", "x" * 1_000_000, "😀 😀", "\n\n\n", "0", "a" * 31 + " " + "b" * 40]

pytestmark = pytest.mark.parametrize("detector", DETECTORS, ids=[d.name for d in DETECTORS])


def calls(n: int) -> Calls:
    """Calls of all sorts: some repeat a prompt, some say how they were drawn, over three weeks."""
    rng = np.random.default_rng(3)
    params = np.column_stack(
        [
            rng.integers(1, 2000, n),
            rng.integers(0, 4000, n),
            rng.choice([1, 2, 8], n),
            rng.choice([0, 0, 5], n),
            rng.choice([16, 4096], n),
            rng.choice([0.0, 0.7, 1.0], n),
        ]
    ).astype(np.float32)
    params[rng.random(params.shape) < 0.2] = np.nan
    digest = rng.integers(0, 2 * n // 3 + 1, n).astype(np.uint64) << np.uint64(40)
    return Calls(1.8e9 + rng.random(n) * 21 * 86_400.0, digest, params)


def odd_calls() -> Calls:
    """Calls of which nothing is known, and what no clock and no counter says."""
    seconds = np.array([np.nan, -1.0, 0.0, 1.8e9, 4e9, 9e18, np.inf, -np.inf])
    params = np.full((len(seconds), len(PARAMS)), np.nan, dtype=np.float32)
    params[3:] = [[0.0], [1.0], [1e9], [np.nan], [2.0]]
    return Calls(seconds, np.arange(len(seconds), dtype=np.uint64), params)


def some(whole: Calls, rows: Sequence[int]) -> Calls:
    at = np.array(rows, dtype=np.int64)
    return Calls(whole.seconds[at], whole.digest[at], whole.params[at])


def read(detector: PromptDetector, texts: Sequence[str]) -> SketchColumns:
    return sketch_texts(texts, parts=detector.parts)


def features(detector: AccountDetector, rows: Sequence[int] | None = None) -> np.ndarray:
    """Features of some of the examples, prompts or calls, by default of all twenty."""
    wanted = range(len(TEXTS)) if rows is None else rows
    if detector.sees == "calls":
        return detector.features(some(calls(len(TEXTS)), wanted))
    return detector.features(read(detector, [TEXTS[i] for i in wanted]))


def odd(detector: AccountDetector) -> np.ndarray:
    return detector.features(odd_calls()) if detector.sees == "calls" else detector.features(read(detector, ODD))


def windows(detector: AccountDetector, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        tracker = detector.tracker()
        tracker.learn(features(detector, rng.choice(len(TEXTS), 16, replace=False)))
        rows.append(tracker.window())
    return np.stack(rows)


def measure(detector: AccountDetector, rows: np.ndarray, peers: np.ndarray | None = None) -> Measured:
    held = windows(detector, 12, seed=9) if peers is None else peers
    return detector.measure(rows, Peers(held if detector.needs_peers else held[:0]), [NOBODY] * len(rows))


def same(a: Measured, b: Measured) -> None:
    for left, right in zip((a.statistic, a.effect, a.n), (b.statistic, b.effect, b.n), strict=True):
        np.testing.assert_array_equal(left, right)


def test_it_says_what_it_is(detector: AccountDetector) -> None:
    assert detector.name
    assert detector.version >= 1
    assert detector.null.startswith("this account")
    assert detector.family in ("asked", "phrased", "when", "drawn")
    assert "37" in detector.words(0.5, 37)
    assert "clear it" in detector.clears


def test_its_name_is_its_own(detector: AccountDetector) -> None:
    assert [d.name for d in DETECTORS].count(detector.name) == 1


def test_features_are_a_row_each(detector: AccountDetector) -> None:
    for rows, n in ((features(detector), len(TEXTS)), (odd(detector), 8 if detector.sees == "calls" else len(ODD))):
        assert rows.shape[0] == n
        assert rows.ndim == 2
        assert rows.dtype == np.float32


def test_features_of_prompts_are_finite(detector: AccountDetector) -> None:
    if detector.sees == "prompts":
        assert np.isfinite(odd(detector)).all()


def test_nothing_gives_no_rows(detector: AccountDetector) -> None:
    assert len(features(detector, [])) == 0


def test_each_is_looked_at_alone(detector: AccountDetector) -> None:
    whole = features(detector)
    for i in (0, 7, 19):
        np.testing.assert_allclose(whole[i], features(detector, [i])[0], rtol=1e-5, atol=1e-6)


def test_it_works_on_stored_sketches(detector: AccountDetector) -> None:
    if detector.sees == "prompts":
        stored = columns_of([sketch_text(text) for text in TEXTS])
        np.testing.assert_array_equal(detector.features(stored), features(detector))


def test_what_is_odd_can_be_learnt_and_measured(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    for rows in (odd(detector), features(detector), odd(detector)):
        tracker.learn(rows)
    found = measure(detector, np.stack([tracker.window()]))
    assert np.isfinite(found.statistic).all()
    assert np.isfinite(found.effect).all()


def test_calls_of_which_nothing_is_known_are_no_evidence(detector: AccountDetector) -> None:
    if detector.sees == "prompts":
        return
    tracker = detector.tracker()
    unknown = np.full(200, np.nan)
    params = np.full((200, len(PARAMS)), np.nan, dtype=np.float32)
    tracker.learn(detector.features(Calls(unknown, np.zeros(200, dtype=np.uint64), params)))
    for window in (tracker.window(), detector.tracker().window()):
        assert not is_known(measure(detector, np.stack([window])).statistic).any()


def test_a_cold_tracker_gives_a_window_that_can_be_measured(detector: AccountDetector) -> None:
    found = measure(detector, np.stack([detector.tracker().window()]))
    assert np.isfinite(found.statistic).all()


def test_looking_changes_nothing(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    tracker.learn(features(detector))
    before = tracker.state()
    first = measure(detector, np.stack([tracker.window()]))
    same(first, measure(detector, np.stack([tracker.window()])))
    assert tracker.state() == before


def test_measuring_leaves_its_arguments_alone(detector: AccountDetector) -> None:
    rows, peers = windows(detector, 4), windows(detector, 12, seed=9)
    kept = rows.copy(), peers.copy()
    measure(detector, rows, peers)
    np.testing.assert_array_equal(rows, kept[0])
    np.testing.assert_array_equal(peers, kept[1])


def test_each_window_is_measured_alone(detector: AccountDetector) -> None:
    rows = windows(detector, 5)
    whole = measure(detector, rows)
    for i in range(5):
        np.testing.assert_allclose(
            measure(detector, rows[i : i + 1]).statistic[0], whole.statistic[i], rtol=1e-6, atol=1e-9
        )


def test_measured_counts_prompts(detector: AccountDetector) -> None:
    found = measure(detector, windows(detector, 3)).n
    assert ((found > 0) & (found <= 16)).all()
    if detector.sees == "prompts":
        assert found.tolist() == [16, 16, 16]


def test_no_windows_are_measured_as_none(detector: AccountDetector) -> None:
    rows = windows(detector, 1)[:0]
    assert measure(detector, rows).statistic.size == 0


def test_a_state_goes_on_where_it_stopped(detector: AccountDetector) -> None:
    rows = features(detector)
    tracker = detector.tracker()
    tracker.learn(rows[:8])
    again = detector.from_state(tracker.state())
    for each in (tracker, again):
        each.learn(rows[8:])
    np.testing.assert_array_equal(tracker.window(), again.window())
    assert tracker.state() == again.state()


def test_trackers_can_be_pickled(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    tracker.learn(features(detector))
    assert pickle.loads(pickle.dumps(tracker)).state() == tracker.state()
    assert pickle.loads(pickle.dumps(detector)).name == detector.name


def test_two_trackers_share_nothing(detector: AccountDetector) -> None:
    one, two = detector.tracker(), detector.tracker()
    one.learn(features(detector))
    assert two.state() == detector.tracker().state()


def test_memory_is_bounded(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    rows = detector.features(calls(20_000)) if detector.sees == "calls" else np.tile(features(detector), (50, 1))
    for _ in range(20):
        tracker.learn(rows)
    assert len(tracker.state()) < 16 * 1024
    assert tracker.window().nbytes < 8 * 1024


def test_the_order_of_prompts_does_not_matter(detector: AccountDetector) -> None:
    rows = features(detector)
    found = []
    for order in (np.arange(len(rows)), np.random.default_rng(1).permutation(len(rows))):
        tracker = detector.tracker()
        tracker.learn(rows[order])
        found.append(measure(detector, np.stack([tracker.window()])).statistic[0])
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_one_at_a_time_is_as_good_as_all_at_once(detector: AccountDetector) -> None:
    rows = features(detector)
    slow, fast = detector.tracker(), detector.tracker()
    fast.learn(rows)
    for i in range(len(rows)):
        slow.learn(rows[i : i + 1])
    np.testing.assert_allclose(slow.window(), fast.window(), rtol=1e-5, atol=1e-5)


def test_accounts_of_one_kind_keep_their_rank(
    detector: AccountDetector, sketches: Callable[..., SketchColumns]
) -> None:
    if detector.sees == "calls":
        return  # the ranks of calls are tested with their watch, in test_online.py
    # Split conformal on numbers: exchangeable accounts have p <= .1 about one time in ten, and no more.
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(4, 256))
    buckets = rng.integers(0, 2**16, 4000).astype(np.uint16)

    def draw(n: int) -> np.ndarray:
        rows = []
        for _ in range(n):
            size = int(rng.integers(16, 40))
            points = centres[rng.integers(4)] + 0.8 * rng.normal(size=(size, 256))
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            ids = [np.unique(rng.choice(buckets, 12)) for _ in range(size)]
            tracker = detector.tracker()
            tracker.learn(detector.features(sketches(points, np.arange(size, dtype=np.uint64), ids)))
            rows.append(tracker.window())
        return np.stack(rows)

    hits = 0
    for _ in range(4):
        peers = draw(30)
        calibration, fresh = (measure(detector, draw(60), peers).statistic for _ in range(2))
        hits += int(((1 + (calibration[None] >= fresh[:, None]).sum(axis=1)) / 61 <= 0.1).sum())
    assert hits / 240 < 0.2


@pytest.mark.parametrize("linker", RING_DETECTORS, ids=[d.name for d in RING_DETECTORS])
def test_a_linker_finds_nothing_in_nothing(detector: AccountDetector, linker: RingDetector) -> None:
    table = LinkTable((), NOBODY, NOBODY, NOBODY.astype(np.uint64))
    assert linker.links(table) == []
    assert linker.rings([], table) == []
