from __future__ import annotations

import numpy as np

from spiritsafe.detect.ring.communities import communities


def edges(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return left, right


def found(nodes: int, *pairs: tuple[int, int]) -> list[list[int]]:
    return sorted(part.tolist() for part in communities(*edges(*pairs), nodes))


def test_cliques_that_hang_together_by_a_thread_are_parted() -> None:
    one = [(i, j) for i in range(6) for j in range(i)]
    other = [(i, j) for i in range(6, 12) for j in range(6, i)]
    assert found(13, *one, *other, (0, 6)) == [list(range(6)), list(range(6, 12))]


def test_direction_and_repetition_do_not_matter_nor_does_who_is_alone() -> None:
    assert found(5, (0, 1), (1, 0), (1, 0), (2, 2)) == [[0, 1]]
    assert found(5) == []
