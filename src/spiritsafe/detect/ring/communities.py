"""Communities of a graph, by Leiden's algorithm (Traag, Waltman & van Eck 2019), the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sknetwork.clustering import Leiden  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from spiritsafe.detect.types import IntArray


def communities(left: IntArray, right: IntArray, nodes: int) -> list[IntArray]:
    """The nodes of each community, sorted; nodes without an edge are in none. Direction and repetition don't matter."""
    apart = left != right
    left, right = left[apart], right[apart]
    if not len(left):
        return []
    graph = sparse.coo_matrix((np.ones(len(left)), (left, right)), shape=(nodes, nodes)).tocsr()
    graph = graph.maximum(graph.T)
    graph.data[:] = 1.0
    label = Leiden(random_state=0).fit_predict(graph)
    linked = np.diff(graph.indptr) > 0
    return [np.flatnonzero((label == part) & linked) for part in np.unique(label[linked]).tolist()]
