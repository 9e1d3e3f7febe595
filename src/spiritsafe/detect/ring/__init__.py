"""Ring detectors, one file each. A new one is a file and a line in ``RING_DETECTORS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.detect.ring.infrastructure import Infrastructure

if TYPE_CHECKING:
    from spiritsafe.detect.types import RingDetector

RING_DETECTORS: tuple[RingDetector, ...] = (Infrastructure(),)
