from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.evidence.figures.layout import components, hull, packed, springs


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    nodes = draw(st.integers(1, 14))
    pair = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)).filter(lambda p: p[0] != p[1])
    return nodes, draw(st.lists(pair, max_size=20)) if nodes > 1 else []


@given(graphs())
def test_springs_stay_in_the_unit_square_and_are_the_same_each_time(graph: tuple[int, list[tuple[int, int]]]) -> None:
    nodes, edges = graph
    place = springs(nodes, edges, rounds=40)
    assert place.shape == (nodes, 2)
    assert (place >= 0).all()
    assert (place <= 1).all()
    assert (place == springs(nodes, edges, rounds=40)).all()


def test_linked_nodes_end_nearer_than_unlinked_ones() -> None:
    edges = [(a, b) for group in (range(5), range(5, 10)) for a in group for b in group if a < b]
    place = springs(10, edges)
    far = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    inside = np.mean([far[a, b] for a, b in edges])
    across = far[:5, 5:].mean()
    assert inside < 0.6 * across


@given(graphs())
def test_components_partition_the_nodes(graph: tuple[int, list[tuple[int, int]]]) -> None:
    nodes, edges = graph
    groups = components(nodes, edges)
    assert sorted(node for group in groups for node in group) == list(range(nodes))
    assert [len(g) for g in groups] == sorted((len(g) for g in groups), reverse=True)
    where = {node: i for i, group in enumerate(groups) for node in group}
    assert all(where[a] == where[b] for a, b in edges)


def test_packed_groups_do_not_overlap_and_stay_in_the_picture() -> None:
    edges = [(0, 1), (1, 2), (3, 4)]
    for width, height in ((800, 200), (200, 400)):
        place = packed(5, edges, width, height, gap=40)
        assert (place >= 0).all()
        assert (place <= [width, height]).all()
        along = 1 if height > width else 0
        assert place[:3, along].max() + 39 < place[3:, along].min()


def test_an_empty_graph_has_no_places() -> None:
    assert springs(0, []).shape == (0, 2)
    assert packed(0, [], 100, 100, 10).shape == (0, 2)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=30))
def test_every_point_lies_within_its_hull(points: list[tuple[int, int]]) -> None:
    corners = hull(np.array(points, dtype=float))
    assert set(corners) <= {(float(x), float(y)) for x, y in points}
    if len(corners) < 3:
        return
    for x, y in points:
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            assert (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= -1e-9
