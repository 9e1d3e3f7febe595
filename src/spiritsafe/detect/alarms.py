"""A reference from one's own traffic, with its false alarm rate measured on accounts and days that it has not seen."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from spiritsafe.detect import rows as reading
from spiritsafe.detect.calibrate import reference_of
from spiritsafe.detect.kinds import OTHER, kind_names
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Alarm, Reference
from spiritsafe.errors import InputError
from spiritsafe.stats.evalues import partial_conjunction
from spiritsafe.stats.result import JOINTLY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spiritsafe.detect.features import Batch
    from spiritsafe.detect.log import Log
    from spiritsafe.store.models import Grant

LEVEL = 0.01
EARLY, SLICES = 0.6, 2
"""The part of the log's time that the trial's reference is made of, and into how many parts the rest is cut."""

SUSPICIOUS = 2.0
"""log10 of the evidence from two sides on which a ring is left out of a reference."""

_EVERYTHING = float("-inf")


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A reference with its measured alarms. ``suspicious`` members of rings were found, of which as many were left out
    as the stated contamination allows.
    """

    reference: Reference
    suspicious: int


def calibrate(
    log: Log,
    *,
    made: datetime,
    source: str,
    lasts: timedelta,
    contamination: float,
    grants: Sequence[Grant] = (),
    level: float = LEVEL,
    report: Callable[[int], None] = lambda rows: None,
) -> Calibrated:
    """A reference of all the log, and how often one made of its first days alarms about others on the days after.

    Accounts of the trial are either in its reference or tested, by a hash of their names. ``contamination`` is the
    share of accounts that may be harvesting: up to as many members of rings that show in the log itself are left out.
    No account is ever left out for its own rank, for that would make the honest ones behind it look strange.
    Raises InputError if the log is too small or names no times.
    """
    first, last = _span(log, grants)
    cuts = [first + (last - first) * (EARLY + (1.0 - EARLY) * part / SLICES) for part in range(SLICES)]
    whole, early = Watch(collect=True), Watch(collect=True)
    late: list[list[Batch]] = [[] for _ in cuts]
    done = 0
    for rows, batch in log.batches(whole.parts, grants):
        whole.learn_batch(batch)
        tested = np.array([_held_out(name) for name in batch.accounts], dtype=bool)[batch.owner]
        early.learn_batch(_pick(batch, ~tested & (batch.seconds < cuts[0])))
        for part, (since, until) in enumerate(zip(cuts, [*cuts[1:], math.inf], strict=True)):
            late[part].append(_pick(batch, tested & (batch.seconds >= since) & (batch.seconds < until)))
        report(done := done + rows)
    suspicious = rings_in(whole)
    looked_at = sum(1 for tenant in whole.tenants.values() if tenant.windows(whole.detectors))
    without = frozenset(suspicious[: math.ceil(contamination * looked_at)])
    made_of_all = reference_of(whole, made=made, source=source, without=without)
    trial = reference_of(early, made=made, source=source, without=without)
    alarms: list[Alarm] = []
    for since, until, batches in zip(cuts, [*cuts[1:], last], late, strict=True):
        alarms += _alarms(trial, made_of_all, batches, without, (_utc(since), _utc(until)), level)
    reference = msgspec.structs.replace(
        made_of_all, alarms=alarms, expires=made + lasts, contamination=contamination, left_out=len(without)
    )
    return Calibrated(reference=reference, suspicious=len(suspicious))


def rings_in(watch: Watch) -> list[str]:
    """Members of rings that show among the watch's own accounts, those of the most certain ring first."""
    found = [f for f in watch.evaluate_alone(notable=SUSPICIOUS).findings if f.subject_kind == "ring"]
    worth = [(partial_conjunction([e.result.log10_e for e in f.evidence]), f) for f in found]
    certain = sorted((pair for pair in worth if pair[0] >= SUSPICIOUS), key=lambda pair: (-pair[0], pair[1].subject))
    return list(dict.fromkeys(name for _, finding in certain for name in finding.accused))


def _alarms(
    trial: Reference,
    kinds_from: Reference,
    batches: Sequence[Batch],
    without: frozenset[str],
    days: tuple[datetime, datetime],
    level: float,
) -> list[Alarm]:
    watch = Watch(trial, ring_detectors=())
    for batch in batches:
        watch.learn_batch(batch)
    found = [f for f in watch.evaluate(granted=without, notable=_EVERYTHING).findings if f.subject_kind == "account"]
    each = [[e.result.p_value for e in f.evidence if e.family != JOINTLY] for f in found]
    lowest = [min(p, default=1.0) * len(watch.detectors) for p in each]
    names = kind_names(kinds_from.kinds, watch.detectors, [watch.tenants[f.subject] for f in found])
    lines = [(kind, p <= level) for kind, p in zip(names, lowest, strict=True)]
    groups = {"": [alarm for _, alarm in lines]}
    for kind in [k.name for k in kinds_from.kinds] or [OTHER]:
        groups[kind] = [alarm for name, alarm in lines if name == kind]
    since, until = days
    return [
        Alarm(kind=kind, since=since, until=until, level=level, tested=len(each), alarms=sum(each))
        for kind, each in groups.items()
    ]


def _span(log: Log, grants: Sequence[Grant]) -> tuple[float, float]:
    """The first and the last time in the log, in seconds."""
    seconds = []
    for partition in log.partitions:
        if partition.groups is None:
            seconds += [e.time.timestamp() for chunk in reading.exchanges(partition, grants) for e in chunk.kept]
        else:
            for frame in reading.frames(partition, grants):
                times = frame.kept.get_column("time").drop_nulls()
                if len(times):
                    ends = times.sort().gather([0, -1]).dt.timestamp("us").to_list()
                    seconds += [end / 1e6 for end in ends]
    if not seconds or max(seconds) <= min(seconds):
        raise InputError(
            "the log says nothing of time, so no later day can be held out",
            remedy="Give a log with a column time, over several days.",
        )
    return min(seconds), max(seconds)


def _pick(batch: Batch, rows: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Batch:
    """Some rows of a batch."""
    kept = {name: getattr(batch, name)[rows] for name in ("owner", "seconds", "prompt", "shared", "model", "params")}
    return dataclasses.replace(batch, **kept)


def _held_out(name: str) -> bool:
    drawn = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4, person=b"held out").digest()
    return int.from_bytes(drawn, "little") % 3 == 0


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
