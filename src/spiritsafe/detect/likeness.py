"""Which kind of honest tenant a subject looks most alike, and how far from it it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.kinds import points_of
from spiritsafe.detect.types import Alike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.reference import Kind
    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import AccountDetector


def alike(
    kinds: Sequence[Kind],
    detectors: Sequence[AccountDetector],
    tenants: Sequence[Tenant],
    honest: Sequence[Tenant] = (),
) -> Alike | None:
    """The kind that tenants together, one account or a ring, look most alike; None where nothing can be compared.

    An example is named if it is among ``honest``, the tenants of which the kinds were made.
    """
    points = points_of(detectors, tenants)
    if points is None or not points.any() or not kinds:
        return None
    middle = points.mean(axis=0)
    middle /= max(float(np.linalg.norm(middle)), 1e-9)
    near = np.stack([np.frombuffer(kind.centre, dtype="<f4") for kind in kinds]) @ middle
    kind = kinds[int(near.argmax())]
    others = points_of(detectors, honest)
    example = None
    if others is not None and len(others):
        example = honest[int((others @ np.frombuffer(kind.centre, dtype="<f4")).argmax())].account_id
    return Alike(
        kind=kind.name,
        accounts=kind.accounts,
        distance=round(max(0.0, 1.0 - float(near.max())), 3),
        usual=kind.usual,
        widest=kind.widest,
        example=example,
    )


def words(found: Alike) -> str:
    """The kind and the distance, in words; no account is named, since whom it is about may read it."""
    said = (
        f"of all kinds of honest tenant it looks most like {found.kind} ({found.accounts} accounts),"
        f" {found.distance:.2f} from its middle (0: asks about the same; 1: nothing in common)"
    )
    if found.usual is None or found.widest is None:
        return said
    return f"{said}; half of this kind's own accounts lie within {found.usual:.2f}, 95% within {found.widest:.2f}"
