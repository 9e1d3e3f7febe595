"""What every account detector must hold, whoever wrote it. Each one that is registered is put through all of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.ring import RING_DETECTORS
from spiritsafe.detect.types import AccountDetector, LinkTable, Measured, Peers, RingDetector
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


def read(detector: AccountDetector, texts: Sequence[str]) -> SketchColumns:
    return sketch_texts(texts, parts=detector.parts)


def windows(detector: AccountDetector, n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        tracker = detector.tracker()
        tracker.learn(detector.features(read(detector, [TEXTS[i] for i in rng.choice(len(TEXTS), 16, replace=False)])))
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


def test_features_are_a_row_a_text_and_finite(detector: AccountDetector) -> None:
    rows = detector.features(read(detector, [*TEXTS, *ODD]))
    assert rows.shape[0] == len(TEXTS) + len(ODD)
    assert rows.ndim == 2
    assert np.isfinite(rows).all()


def test_no_text_gives_no_rows(detector: AccountDetector) -> None:
    assert len(detector.features(read(detector, []))) == 0


def test_each_text_is_looked_at_alone(detector: AccountDetector) -> None:
    whole = detector.features(read(detector, TEXTS))
    for i in (0, 7, 19):
        np.testing.assert_allclose(whole[i], detector.features(read(detector, [TEXTS[i]]))[0], rtol=1e-5, atol=1e-6)


def test_it_works_on_stored_sketches(detector: AccountDetector) -> None:
    stored = columns_of([sketch_text(text) for text in TEXTS])
    np.testing.assert_array_equal(detector.features(stored), detector.features(read(detector, TEXTS)))


def test_a_cold_tracker_gives_a_window_that_can_be_measured(detector: AccountDetector) -> None:
    found = measure(detector, np.stack([detector.tracker().window()]))
    assert np.isfinite(found.statistic).all()


def test_looking_changes_nothing(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    tracker.learn(detector.features(read(detector, TEXTS)))
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
    assert measure(detector, windows(detector, 3)).n.tolist() == [16, 16, 16]


def test_no_windows_are_measured_as_none(detector: AccountDetector) -> None:
    rows = windows(detector, 1)[:0]
    assert measure(detector, rows).statistic.size == 0


def test_a_state_goes_on_where_it_stopped(detector: AccountDetector) -> None:
    rows = detector.features(read(detector, TEXTS))
    tracker = detector.tracker()
    tracker.learn(rows[:8])
    again = detector.from_state(tracker.state())
    for each in (tracker, again):
        each.learn(rows[8:])
    np.testing.assert_array_equal(tracker.window(), again.window())
    assert tracker.state() == again.state()


def test_trackers_can_be_pickled(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    tracker.learn(detector.features(read(detector, TEXTS)))
    assert pickle.loads(pickle.dumps(tracker)).state() == tracker.state()
    assert pickle.loads(pickle.dumps(detector)).name == detector.name


def test_two_trackers_share_nothing(detector: AccountDetector) -> None:
    one, two = detector.tracker(), detector.tracker()
    one.learn(detector.features(read(detector, TEXTS)))
    assert two.state() == detector.tracker().state()


def test_memory_is_bounded(detector: AccountDetector) -> None:
    tracker = detector.tracker()
    rows = np.tile(detector.features(read(detector, TEXTS)), (50, 1))
    for _ in range(20):
        tracker.learn(rows)
    assert len(tracker.state()) < 16 * 1024
    assert tracker.window().nbytes < 8 * 1024


def test_the_order_of_prompts_does_not_matter(detector: AccountDetector) -> None:
    rows = detector.features(read(detector, TEXTS))
    found = []
    for order in (np.arange(len(rows)), np.random.default_rng(1).permutation(len(rows))):
        tracker = detector.tracker()
        tracker.learn(rows[order])
        found.append(measure(detector, np.stack([tracker.window()])).statistic[0])
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_one_at_a_time_is_as_good_as_all_at_once(detector: AccountDetector) -> None:
    rows = detector.features(read(detector, TEXTS))
    slow, fast = detector.tracker(), detector.tracker()
    fast.learn(rows)
    for i in range(len(rows)):
        slow.learn(rows[i : i + 1])
    np.testing.assert_allclose(slow.window(), fast.window(), rtol=1e-5, atol=1e-5)


def test_accounts_of_one_kind_keep_their_rank(
    detector: AccountDetector, sketches: Callable[..., SketchColumns]
) -> None:
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
