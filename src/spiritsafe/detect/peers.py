"""Whom accounts are compared with: the reference's peers, or the other accounts of the same log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.features import digest
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.types import Peers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import AccountDetector, IntArray

MOST_ALONE = 6000
"""Accounts of a log, at most, with which all its accounts are compared where there is no reference."""


@dataclass(frozen=True, eq=False)
class Company:
    """Those whom accounts are compared with by one detector."""

    peers: Peers
    kin: Kin

    @classmethod
    def of_log(cls, tenants: Sequence[Tenant], detectors: Sequence[AccountDetector], place: int) -> Company:
        """Other accounts of the log, by their largest windows."""
        names = [digest("account", tenant.account_id) for tenant in tenants]
        windows = [tenant.largest(detectors, place) for tenant in tenants]
        # All pairs of a very large log would be too many: those of the lowest digests stand for all.
        some = (row for row in range(len(tenants)) if len(windows[row]))
        drawn = sorted(sorted(some, key=names.__getitem__)[:MOST_ALONE])
        peers = Peers(np.stack([windows[row] for row in drawn]) if drawn else np.zeros((0, 1), np.float32))
        return cls(peers, Kin([names[row] for row in drawn], [tenants[row].shared for row in drawn]))

    @classmethod
    def of_reference(cls, reference: Reference, name: str) -> Company:
        """The reference's peers."""
        return cls(reference.windows(name), reference.kin())

    def left_out(self, tenant: Tenant) -> IntArray:
        """Rows of the peers that are the account's own kin."""
        return self.kin.of(tenant)
