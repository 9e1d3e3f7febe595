from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spiritsafe.detect.account.population import Population
from spiritsafe.detect.types import UNKNOWN, Peers

NOBODY = np.zeros(0, dtype=np.int64)
SHARED = Path(__file__).resolve().parents[4] / "shared" / "traffic" / "prompts"


def window(rng: np.random.Generator, centre: np.ndarray, n: int) -> np.ndarray:
    points = centre + 0.06 * rng.normal(size=(n, 256))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.concatenate([[n], points.sum(axis=0)]).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def score(windows: list[np.ndarray], peers: list[np.ndarray], left_out: list[np.ndarray] | None = None) -> np.ndarray:
    out = [NOBODY] * len(windows) if left_out is None else left_out
    return Population().measure(np.stack(windows), Peers(np.stack(peers)), out).statistic


def test_the_distance_is_unbiased_in_both_samples(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    a, b = centres(2, 1)
    for n in (8, 30, 90):
        peers = Peers(np.stack([window(rng, a, 40) for _ in range(60)]))
        found = Population().measure(np.stack([window(rng, a, n) for _ in range(60)]), peers, [NOBODY] * 60)
        # The fifth nearest of sixty lies below the middle, so that the distance of one's own kind is 0 or hardly more.
        assert np.median(found.effect) < 0.02
    there = Peers(np.stack([window(rng, b, 200) for _ in range(6)]))
    far = Population().measure(np.stack([window(rng, a, 200)]), there, [NOBODY])
    true = np.linalg.norm(a - b) ** 2 / (1 + 256 * 0.06**2)
    assert far.effect[0] == pytest.approx(true, rel=0.1)


def test_a_kind_of_its_own_is_farther_than_one_of_a_kind(
    rng: np.random.Generator, centres: Callable[..., np.ndarray]
) -> None:
    kinds = centres(4, 2)
    peers = [window(rng, kinds[i % 3], 60) for i in range(60)]
    near, far = window(rng, kinds[0], 60), window(rng, kinds[3], 60)
    found = score([near, far], peers)
    assert found[1] > 5.0
    assert found[1] > found[0] + 5.0


def test_a_narrow_tenant_with_peers_is_not_far(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    bank, *others = centres(5, 3)
    peers = [window(rng, others[i % 4], 60) for i in range(200)] + [window(rng, bank, 60) for _ in range(6)]
    assert score([window(rng, bank, 200)], peers)[0] < 2.0


def test_more_prompts_show_the_same_distance_more_surely(
    rng: np.random.Generator, centres: Callable[..., np.ndarray]
) -> None:
    a, b = centres(2, 4)
    peers = [window(rng, b, 100) for _ in range(10)]
    found = score([window(rng, a, n) for n in (8, 16, 64, 256)], peers)
    assert list(found) == sorted(found)


def test_kin_are_left_out(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    a, b = centres(2, 5)
    peers = [window(rng, a, 60) for _ in range(10)] + [window(rng, b, 60) for _ in range(10)]
    mine = window(rng, a, 60)
    assert score([mine], peers)[0] < 3.0
    assert score([mine], peers, [np.arange(10)])[0] > 5.0


def test_without_peers_nothing_can_be_said(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    mine = window(rng, centres(1)[0], 60)
    few = [window(rng, centres(1)[0], 60) for _ in range(6)]
    assert score([mine], few, [np.arange(2)])[0] == UNKNOWN
    empty = Population().measure(mine[None], Peers(np.zeros((0, 257), dtype=np.float32)), [NOBODY])
    assert empty.statistic[0] == UNKNOWN
    assert empty.effect[0] == 0.0


def test_who_asked_nothing_is_nobodys_peer(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    silent = np.zeros(257, dtype=np.float32)
    peers = [window(rng, centres(1)[0], 60) for _ in range(4)]
    assert score([window(rng, centres(1)[0], 60)], [*peers, *[silent] * 20])[0] == UNKNOWN
    assert score([silent], [*peers, *peers])[0] == UNKNOWN


def test_a_kind_that_applies_all_over_the_place_is_given_room(
    rng: np.random.Generator, centres: Callable[..., np.ndarray]
) -> None:
    tight, loose = centres(2, 8)
    off = rng.normal(size=(2, 256))
    off *= 0.35 / np.linalg.norm(off, axis=1, keepdims=True)
    peers = [window(rng, tight, 100) for _ in range(30)]
    peers += [window(rng, loose + 0.03 * rng.normal(size=256), 100) for _ in range(30)]
    found = score([window(rng, tight + off[0], 100), window(rng, loose + off[1], 100)], peers)
    assert found[0] > found[1] + 3.0


def test_empty_and_tiny_windows_give_numbers(rng: np.random.Generator, centres: Callable[..., np.ndarray]) -> None:
    peers = [window(rng, centres(1)[0], 60) for _ in range(6)]
    for odd in (np.zeros(257, dtype=np.float32), window(rng, centres(1)[0], 1)):
        assert np.isfinite(score([odd], peers)).all()


def test_the_size_holds_among_exchangeable_accounts(centres: Callable[..., np.ndarray]) -> None:
    # Split conformal: peers and calibration apart. The share of new honest accounts at p <= .05 stays near .05.
    kinds = centres(5, 6)
    rng = np.random.default_rng(2)

    def draw(n: int) -> list[np.ndarray]:
        own = [kinds[rng.integers(5)] + 0.02 * rng.normal(size=256) for _ in range(n)]
        return [window(rng, centre, int(rng.integers(16, 64))) for centre in own]

    hits, total = 0, 0
    for _ in range(6):
        peers = draw(60)
        calibration, found = score(draw(99), peers), score(draw(100), peers)
        p = (1 + (calibration[None] >= found[:, None]).sum(axis=1)) / 100
        hits, total = hits + int((p <= 0.05).sum()), total + len(p)
    assert hits / total < 0.09


@pytest.mark.skipif(not SHARED.exists(), reason="the shared prompts are not on this machine")
def test_real_tool_prompts_are_far_from_real_honest_kinds() -> None:
    import gzip
    import json

    from spiritsafe.record.sketch import sketch_texts

    def windows(name: str, n: int, each: int) -> list[np.ndarray]:
        with gzip.open(SHARED / f"{name}.jsonl.gz", "rt") as lines:
            texts = [json.loads(line)["prompt"][:2000] for _, line in zip(range(n * each), lines, strict=False)]
        rows = Population().features(sketch_texts(texts, parts=frozenset({"embedding"})))
        return [np.concatenate([[each], rows[i::n].sum(axis=0)]).astype(np.float32) for i in range(n)]

    kinds = ("nq_open", "banking77", "gsm8k_train", "bfcl_live", "hh_rlhf_human_turns")
    peers = [w for name in kinds for w in windows(name, 12, 60)]
    left_out = [np.array([i]) for i in range(len(peers))]
    honest = score(peers, peers, left_out)
    harvest = score(windows("gpteacher_toolformer", 8, 60), peers)
    assert harvest.min() > honest.max()
