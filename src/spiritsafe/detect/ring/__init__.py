"""Ring detectors, one file each. A new one is a file and a line in ``RING_DETECTORS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from spiritsafe.detect.ring.corpus import Corpus
from spiritsafe.detect.ring.infrastructure import Infrastructure
from spiritsafe.detect.ring.lockstep import Lockstep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Ring, RingDetector

RING_DETECTORS: tuple[RingDetector, ...] = (Infrastructure(), Lockstep(), Corpus())

_INSIDE = 0.8


def absorbed(rings: Sequence[Ring]) -> list[Ring]:
    """The rings, without those that nearly lie within one that was found by more.

    What is bound by one kind of link alone goes into the ring of customers that holds it, with its links; what was
    found by what is asked goes into one found by when, with its evidence about what is asked together.
    """
    wide = [ring for ring in rings if ring.basis == "when"]
    wide += [ring for ring in rings if ring.basis == "asked" and not _put(ring, wide)]
    return [ring for ring in rings if ring.basis == "shared" and not (len(ring.kinds) == 1 and _put(ring, wide))] + wide


def _put(ring: Ring, wide: list[Ring]) -> bool:
    """Put a ring into the one of ``wide`` that holds nearly all of it, if there is one."""
    for at, holder in enumerate(wide):
        if len(set(ring.accounts) & set(holder.accounts)) >= _INSIDE * len(ring.accounts):
            together = tuple(item for item in ring.evidence if item.family == "together")
            wide[at] = msgspec.structs.replace(
                holder,
                kinds=tuple(dict.fromkeys((*holder.kinds, *ring.kinds))),
                links=(*holder.links, *ring.links),
                evidence=(*holder.evidence, *together),
            )
            return True
    return False
