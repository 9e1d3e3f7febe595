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
_WIDEST = 0.95
OTHER = "any"


def kinds_of(detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> list[Kind]:
    """Kinds among tenants by spherical k-means, the largest first; at most one for ``ACCOUNTS_EACH`` accounts.

    The same tenants in the same order give the same kinds. None without the detector that tells what is asked.
    """
    points = points_of(detectors, tenants)
    if points is None or not len(points):
        return []
    points = points[points.any(axis=1)]
    if not len(points):
        return []
    k = max(1, min(MOST, len(points) // ACCOUNTS_EACH))
    centres = _seeds(points, k)
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(axis=1)
        sums = np.stack([points[nearest == kind].sum(axis=0) for kind in range(k)])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-9), centres)
    near = points @ centres.T
    of = near.argmax(axis=1)
    counts = np.bincount(of, minlength=k)
    order = [kind for kind in np.argsort(-counts, kind="stable").tolist() if counts[kind]]
    return [_kind(f"kind-{place + 1}", centres[kind], near[of == kind, kind]) for place, kind in enumerate(order)]


def kind_names(kinds: Sequence[Kind], detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> list[str]:
    """The kind that each tenant is nearest to; ``OTHER`` where there are no kinds, or of whom too little is known."""
    points = points_of(detectors, tenants)
    if points is None or not kinds:
        return [OTHER] * len(tenants)
    names = [*(kind.name for kind in kinds), OTHER]
    return [names[at] for at in nearest(kinds, points).tolist()]


def nearest(kinds: Sequence[Kind], points: Rows) -> IntArray:
    """The number of the kind that each point is nearest to; ``len(kinds)`` for a point that says nothing."""
    centres = np.stack([np.frombuffer(kind.centre, dtype="<f4") for kind in kinds]) if kinds else points[:0]
    if not kinds or centres.shape[1] != points.shape[1]:
        return np.full(len(points), len(kinds), dtype=np.int64)
    return np.where(points.any(axis=1), (points @ centres.T).argmax(axis=1), len(kinds))


def points_of(detectors: Sequence[AccountDetector], tenants: Sequence[Tenant]) -> Rows | None:
    """The direction of each tenant's mean embedding, from its largest window; zeros where there is none."""
    place = place_of(detectors)
    return None if place is None else directions([tenant.largest(detectors, place) for tenant in tenants])


def place_of(detectors: Sequence[AccountDetector]) -> int | None:
    """Which of the detectors tells what is asked."""
    return next((at for at, detector in enumerate(detectors) if detector.name == BY), None)


def directions(windows: Sequence[Rows]) -> Rows:
    """Windows of that detector, some of them empty, as directions [n, width]."""
    width = max((len(window) for window in windows), default=2)
    none = np.zeros(width, dtype=np.float32)
    rows = np.stack([window if len(window) else none for window in windows] or [none])[: len(windows), 1:]
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _kind(name: str, centre: Rows, near: Rows) -> Kind:
    away = np.sort(np.maximum(1.0 - near, 0.0))
    usual, widest = (round(float(away[int(share * (len(away) - 1))]), 3) for share in (0.5, _WIDEST))
    return Kind(name=name, accounts=len(away), centre=centre.astype("<f4").tobytes(), usual=usual, widest=widest)


def _seeds(points: Rows, k: int) -> Rows:
    """k of the points, each as far as possible from those before it, the first the one nearest the middle."""
    middle = points.mean(axis=0)
    picked = [int((points @ middle).argmax())]
    closest = points @ points[picked[0]]
    while len(picked) < k:
        picked.append(int(closest.argmin()))
        closest = np.maximum(closest, points @ points[picked[-1]])
    return points[picked]
