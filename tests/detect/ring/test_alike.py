from __future__ import annotations

import numpy as np

from spiritsafe.detect.ring.alike import LEAST_PROMPTS, alike


def means(parts: list[tuple[np.ndarray, int, int]], seed: int = 0) -> np.ndarray:
    """Rows of [count, sums]: ``n`` accounts each draw ``prompts`` unit vectors around a centre."""
    rng = np.random.default_rng(seed)
    rows = []
    for centre, n, prompts in parts:
        for _ in range(n):
            points = centre + 0.15 * rng.normal(size=(prompts, 256))
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            rows.append(np.r_[prompts, points.sum(axis=0)])
    return np.array(rows, dtype=np.float32)


def centre(seed: int) -> np.ndarray:
    point = np.random.default_rng(seed).normal(size=256)
    return np.asarray(point / np.linalg.norm(point))


def test_accounts_that_draw_from_one_source_are_found_and_others_of_their_kind_are_not() -> None:
    near = centre(1) + 0.35 * centre(2)
    rows = means(
        [(centre(1), 8, 250), (near / np.linalg.norm(near), 8, 250), *((centre(s), 1, 250) for s in range(9, 30))]
    )
    assert sorted(part.tolist() for part in alike(rows)) == [list(range(8)), list(range(8, 16))]


def test_who_asked_too_little_is_not_compared() -> None:
    assert alike(means([(centre(1), 8, LEAST_PROMPTS - 1)])) == []
    assert alike(np.zeros((5, 257), dtype=np.float32)) == []


def test_few_prompts_leave_too_much_room() -> None:
    assert alike(means([(centre(1), 8, LEAST_PROMPTS)])) == []


def test_a_very_large_group_is_one_and_stays_apart_from_another() -> None:
    rng = np.random.default_rng(3)

    def crowd(point: np.ndarray, n: int) -> np.ndarray:
        mean = 0.6 * point + rng.normal(size=(n, 256)) * 0.8 / 16.0 / np.sqrt(2000.0)
        return np.c_[np.full(n, 2000.0), 2000.0 * mean].astype(np.float32)

    found = alike(np.concatenate([crowd(centre(1), 1500), crowd(centre(2), 700)]))
    assert sorted(len(part) for part in found) == [700, 1500]
