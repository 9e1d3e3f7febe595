"""Where the nodes of a small graph go: Fruchterman and Reingold's springs, from a fixed start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def springs(
    nodes: int, edges: Sequence[tuple[int, int]], *, aspect: float = 1.0, rounds: int = 400
) -> NDArray[np.float64]:
    """Places (nodes x 2) in the unit square, linked nodes near each other, groups apart.

    Starts from a circle in the order of the nodes, so the same graph is always drawn the same way.
    ``aspect`` is the width over the height that it will be drawn at. Source: Fruchterman & Reingold
    (1991), "Graph drawing by force-directed placement", with a weak pull to the centre.
    """
    if nodes == 0:
        return np.zeros((0, 2))
    angle = np.arange(nodes) * (2 * np.pi / nodes)
    place = np.stack([np.cos(angle) * aspect, np.sin(angle)], axis=1)
    ideal = 1.6 * np.sqrt(aspect / nodes)
    ends = np.array(edges, dtype=int).reshape(-1, 2)
    for turn in range(rounds):
        gap = place[:, None, :] - place[None, :, :]
        far = np.sqrt((gap**2).sum(axis=2)) + 1e-3
        move = (gap * (ideal**2 / far**2)[:, :, None]).sum(axis=1)
        if len(ends):
            pull = place[ends[:, 0]] - place[ends[:, 1]]
            pull *= (np.sqrt((pull**2).sum(axis=1)) / ideal)[:, None]
            np.subtract.at(move, ends[:, 0], pull)
            np.add.at(move, ends[:, 1], pull)
        move -= place * np.array([0.6 / aspect, 0.9])
        size = np.sqrt((move**2).sum(axis=1, keepdims=True)) + 1e-9
        place += move / size * np.minimum(size, 0.12 * (1 - turn / rounds) + 0.002)
    low, high = place.min(axis=0), place.max(axis=0)
    return (place - low) / np.where(high > low, high - low, 1.0) if nodes > 1 else np.full((1, 2), 0.5)


def components(nodes: int, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The connected groups of nodes, the largest first, each in the order of its nodes."""
    root = list(range(nodes))

    def find(node: int) -> int:
        while root[node] != node:
            root[node] = node = root[root[node]]
        return node

    for a, b in edges:
        root[find(a)] = find(b)
    groups: dict[int, list[int]] = {}
    for node in range(nodes):
        groups.setdefault(find(node), []).append(node)
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def packed(
    nodes: int, edges: Sequence[tuple[int, int]], width: float, height: float, gap: float
) -> NDArray[np.float64]:
    """Places (nodes x 2) in ``width`` x ``height`` pixels: each connected group sprung on its own, set side by side.

    Groups stand in a row, or one above the other where the picture is higher than wide, with ``gap``
    pixels between them and room by the square root of their size.
    """
    place = np.zeros((nodes, 2))
    groups = components(nodes, edges)
    upright = height > width
    length, across = (height, width) if upright else (width, height)
    room = np.sqrt([len(group) for group in groups]) if groups else np.zeros(0)
    room = room / room.sum() * (length - gap * (len(groups) - 1)) if groups else room
    start = 0.0
    for group, extent in zip(groups, room, strict=True):
        index = {node: i for i, node in enumerate(group)}
        inner = [(index[a], index[b]) for a, b in edges if a in index]
        depth = min(across, across * (len(group) / len(groups[0])) ** 0.5 * 1.15)
        aspect = depth / extent if upright else extent / depth
        local = springs(len(group), inner, aspect=float(np.clip(aspect, 0.4, 2.5)))
        along = start + local[:, 1 if upright else 0] * extent
        beside = (across - depth) / 2 + local[:, 0 if upright else 1] * depth
        place[group] = np.stack([beside, along] if upright else [along, beside], axis=1)
        start += extent + gap
    return place


def hull(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The convex hull of the points (n x 2), counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return ordered

    def chain(run: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for x, y in run:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2], kept[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return chain(ordered) + chain(ordered[::-1])
