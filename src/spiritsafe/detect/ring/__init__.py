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
    """The rings, those bound by one kind of link alone put into the ring of customers that holds nearly all of them."""
    wide = [ring for ring in rings if ring.basis != "shared"]
    place = {name: at for at, ring in enumerate(wide) for name in ring.accounts}
    kept = []
    for ring in rings:
        if ring.basis != "shared":
            continue
        at = [place[name] for name in ring.accounts if name in place]
        most = max(set(at), key=at.count) if at else -1
        if len(ring.kinds) == 1 and at.count(most) >= _INSIDE * len(ring.accounts):
            holder = wide[most]
            kinds = tuple(dict.fromkeys((*holder.kinds, *ring.kinds)))
            wide[most] = msgspec.structs.replace(holder, kinds=kinds, links=(*holder.links, *ring.links))
        else:
            kept.append(ring)
    return [*kept, *wide]
