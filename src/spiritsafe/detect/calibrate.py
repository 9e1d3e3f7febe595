"""Builds a reference from honest traffic."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.features import digest, from_exchanges, from_frame
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.kinds import kinds_of
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Calibration, Reference
from spiritsafe.detect.ring.infrastructure import LEAST_GROUP, Infrastructure
from spiritsafe.detect.types import Peers
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import AccountDetector
    from spiritsafe.record.exchange import Exchange

MOST_PEERS = 1500
LEAST_ACCOUNTS = 20
_HONEST_QUANTILE = 0.99


def reference_of_frame(frame: pl.DataFrame, *, made: datetime, source: str, rows: int = 200_000) -> Reference:
    """A reference from a Parquet log's rows, oldest first; see ``reference_of``."""
    watch = Watch(collect=True)
    for part in frame.iter_slices(rows):
        watch.learn_batch(from_frame(part, watch.parts))
    return reference_of(watch, made=made, source=source)


def reference_of_exchanges(
    exchanges: Sequence[Exchange], *, made: datetime, source: str, key: bytes = b"", rows: int = 20_000
) -> Reference:
    """A reference from exchanges, oldest first; see ``reference_of``. Exchanges under a grant are left out."""
    watch = Watch(collect=True, key=key)
    honest = [exchange for exchange in exchanges if exchange.grant_id is None]
    for start in range(0, len(honest), rows):
        watch.learn_batch(from_exchanges(honest[start : start + rows], watch.parts, key))
    return reference_of(watch, made=made, source=source)


def reference_of(watch: Watch, *, made: datetime, source: str, without: frozenset[str] = frozenset()) -> Reference:
    """A reference from a watch that collected (``collect=True``) the traffic of honest accounts.

    A third of the accounts, at most ``MOST_PEERS``, become the peers that others are compared with; the rest are
    scored against them. Which is which depends on the accounts' names alone. Accounts in ``without`` are left out.
    Raises InputError if too few accounts asked enough to be looked at.
    """
    looked_at = (t for t in watch.tenants.values() if t.windows() and t.account_id not in without)
    ready = sorted(looked_at, key=lambda t: _draw(t.account_id))
    if len(ready) < LEAST_ACCOUNTS:
        raise InputError(
            f"only {len(ready)} accounts sent at least 16 distinct prompts, a reference needs {LEAST_ACCOUNTS}",
            remedy="Take a longer log, or one of more accounts.",
        )
    peers = ready[: min(MOST_PEERS, len(ready) // 3)]
    names = [digest("account", t.account_id) for t in peers]
    kin = Kin(names, [t.shared for t in peers])
    rest = ready[len(peers) :]
    calibrations = {
        detector.name: _calibrate(watch, place, detector, peers, rest, kin)
        for place, detector in enumerate(watch.detectors)
    }
    first, last = watch.span
    return Reference(
        made=made,
        source=source,
        accounts=len(ready),
        horizon=max(last - first, 0.0) if np.isfinite(last - first) else 0.0,
        honest_group=Infrastructure().honest_group(watch.table(), _HONEST_QUANTILE) or LEAST_GROUP,
        peers=names,
        shared=[sorted(t.shared) for t in peers],
        detectors=calibrations,
        kinds=kinds_of(watch.detectors, ready),
        left_out=len(without),
    )


def _calibrate(
    watch: Watch, place: int, detector: AccountDetector, peers: list[Tenant], rest: list[Tenant], kin: Kin
) -> Calibration:
    """The highest statistic of each account of the rest at any of its checkpoints."""
    rows = np.stack([t.windows()[-1 if not t.done else len(t.done) - 1][place] for t in peers])
    held = Peers(rows if detector.needs_peers else rows[:0])
    row_of = {id(tenant): row for row, tenant in enumerate(rest)}
    passed = [(row_of[id(t)], t, w[place]) for t, w in watch.passed if id(t) in row_of]
    left_out = [kin.of(digest("account", t.account_id), t.shared) for _, t, _ in passed]
    measured = detector.measure(np.stack([w for _, _, w in passed]), held, left_out)
    best = np.full(len(rest), -np.inf)
    np.maximum.at(best, np.array([row for row, _, _ in passed]), measured.statistic)
    return Calibration(
        version=detector.version,
        scores=np.sort(best).astype("<f8").tobytes(),
        width=held.rows.shape[1],
        peers=held.rows.astype("<f4").tobytes(),
    )


def _draw(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, person=b"peers").digest()
