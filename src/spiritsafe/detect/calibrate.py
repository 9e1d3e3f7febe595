"""Builds a reference from honest traffic."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.features import digest, from_exchanges, from_frame
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.kinds import directions, kinds_of, nearest, points_of
from spiritsafe.detect.middles import Middles
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Calibration, Reference
from spiritsafe.detect.ring.infrastructure import LEAST_GROUP, Infrastructure
from spiritsafe.detect.types import UNKNOWN, Peers
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import polars as pl

    from spiritsafe.detect.reference import Kind
    from spiritsafe.detect.tenant import Tenant
    from spiritsafe.detect.types import AccountDetector, Rows
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
    looked_at = (t for t in watch.tenants.values() if t.windows(watch.detectors) and t.account_id not in without)
    ready = sorted(looked_at, key=lambda t: _draw(t.account_id))
    if len(ready) < LEAST_ACCOUNTS:
        raise InputError(
            f"only {len(ready)} accounts sent 16 distinct prompts or 32 calls, a reference needs {LEAST_ACCOUNTS}",
            remedy="Take a longer log, or one of more accounts.",
        )
    peers = ready[: min(MOST_PEERS, len(ready) // 3)]
    names = [digest("account", t.account_id) for t in peers]
    kin = Kin(names, [t.shared for t in peers])
    rest = ready[len(peers) :]
    kinds = kinds_of(watch.detectors, ready)
    calibrations = {
        detector.name: _calibrate(watch, place, detector, peers, rest, kin, kinds)
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
        kinds=kinds,
        left_out=len(without),
    )


def _calibrate(
    watch: Watch,
    place: int,
    detector: AccountDetector,
    peers: list[Tenant],
    rest: list[Tenant],
    kin: Kin,
    kinds: list[Kind],
) -> Calibration:
    """The highest statistic of each account of the rest at any of its checkpoints."""
    rows = [t.largest(watch.detectors, place) for t in peers]
    width = max(len(row) for row in rows)
    held = np.stack([row if len(row) else np.zeros(width, dtype=np.float32) for row in rows])
    compared = Peers(held if detector.needs_peers else held[:0])
    row_of = {id(tenant): row for row, tenant in enumerate(rest)}
    looks = [look for look in watch.passed if id(look.tenant) in row_of and len(look.windows[place])]
    best = np.full(len(rest), UNKNOWN)
    middles = _middles(watch, detector, peers, rows, kinds)
    if looks:
        left_out = [kin.of(look.tenant) for look in looks]
        statistic = detector.measure(np.stack([look.windows[place] for look in looks]), compared, left_out).statistic
        if middles is not None:
            statistic = middles.standing(statistic, nearest(kinds, directions([look.asked for look in looks])))
        np.maximum.at(best, np.array([row_of[id(look.tenant)] for look in looks]), statistic)
    return Calibration(
        version=detector.version,
        scores=best.astype("<f8").tobytes(),
        width=compared.rows.shape[1],
        peers=compared.rows.astype("<f4").tobytes(),
        middle=[] if middles is None else middles.middle.tolist(),
        spread=[] if middles is None else middles.spread.tolist(),
    )


def _middles(
    watch: Watch, detector: AccountDetector, peers: list[Tenant], rows: list[Rows], kinds: list[Kind]
) -> Middles | None:
    """Where the kinds stand, read off the peers alone: scored accounts must have no say in what they are held to."""
    if not detector.by_kind:
        return None
    some = [at for at, row in enumerate(rows) if len(row)]
    if not some:
        return Middles.of(np.zeros(0), np.zeros(0, dtype=np.int64), len(kinds))
    windows = np.stack([rows[at] for at in some])
    statistic = detector.measure(windows, Peers(windows[:0]), [np.zeros(0, dtype=np.int64)] * len(some)).statistic
    points = points_of(watch.detectors, [peers[at] for at in some])
    kind = np.full(len(some), len(kinds)) if points is None else nearest(kinds, points)
    return Middles.of(statistic, kind, len(kinds))


def _draw(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, person=b"peers").digest()
