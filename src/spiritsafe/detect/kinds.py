"""Kinds of tenant: accounts that ask about the same, found by their mean embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.reference import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import AccountDetector, IntArray, Rows

BY = "population"
"""The detector whose windows say what an account asks about: how many prompts, and the sum of their embeddings."""

MOST, ACCOUNTS_EACH = 12, 60
_ROUNDS = 25
OTHER = "any"


def kinds_of(detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> list[Kind]:
    """Kinds among tenants by spherical k-means, the largest first; at most one for ``ACCOUNTS_EACH`` accounts.

    The same tenants in the same order give the same kinds. None without the detector that tells what is asked.
    """
    points = _points(detectors, tenants)
    if points is None or not len(points):
        return []
    k = max(1, min(MOST, len(points) // ACCOUNTS_EACH))
    centres = _seeds(points, k)
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(axis=1)
        sums = np.stack([points[nearest == kind].sum(axis=0) for kind in range(k)])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), centres)
    counts = np.bincount((points @ centres.T).argmax(axis=1), minlength=k)
    order = np.argsort(-counts, kind="stable")
    return [
        Kind(name=f"kind-{place + 1}", accounts=int(counts[kind]), centre=centres[kind].astype("<f4").tobytes())
        for place, kind in enumerate(order.tolist())
        if counts[kind]
    ]


def kind_names(kinds: Sequence[Kind], detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> list[str]:
    """The kind that each tenant is nearest to; ``OTHER`` where there are no kinds."""
    points = _points(detectors, tenants)
    if points is None or not kinds:
        return [OTHER] * len(tenants)
    centres = np.stack([np.frombuffer(kind.centre, dtype="<f4") for kind in kinds])
    nearest: IntArray = (points @ centres.T).argmax(axis=1)
    return [kinds[at].name for at in nearest.tolist()]


def _points(detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> Rows | None:
    """The direction of each tenant's mean embedding, from its largest window."""
    place = next((at for at, detector in enumerate(detectors) if detector.name == BY), None)
    if place is None:
        return None
    if not tenants:
        return np.zeros((0, 1), dtype=np.float32)
    rows = np.stack([(list(t.done) or [t.latest])[-1][place][1:] for t in tenants])
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _seeds(points: Rows, k: int) -> Rows:
    """k of the points, each as far as possible from those before it, the first the one nearest the middle."""
    middle = points.mean(axis=0)
    picked = [int((points @ middle).argmax())]
    closest = points @ points[picked[0]]
    while len(picked) < k:
        picked.append(int(closest.argmin()))
        closest = np.maximum(closest, points @ points[picked[-1]])
    return points[picked]
