"""Which exchanges of a ring's members its own evidence rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.cores import rows_of
from spiritsafe.detect.features import SHARED, kind_index
from spiritsafe.detect.moments import HOUR
from spiritsafe.detect.ring.corpus import askers, outsiders
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.ring.dealt import KNOWN
from spiritsafe.detect.ring.lockstep import busy_together
from spiritsafe.detect.ring.samples import times_asked
from spiritsafe.detect.types import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from spiritsafe.detect.features import Batch
    from spiritsafe.detect.types import Finding, FloatArray, HashArray, IntArray, LinkTable
    from spiritsafe.stats.result import Result

MOST_TOGETHER, MOST_OTHERS = 128, 512
"""Customers of a ring, and others, whose hours are looked at again."""


def weights(result: Result, ring: Finding, table: LinkTable, batch: Batch) -> FloatArray | None:
    """What each exchange of ``batch`` weighs in one piece of a ring's evidence; None for evidence on no exchange."""
    weigh = _WEIGH.get(result.name)
    return None if weigh is None else weigh(result, ring, table, batch)


def _shared(result: Result, ring: Finding, table: LinkTable, batch: Batch) -> FloatArray:
    """The evidence of each link whose value the exchange shows."""
    found = np.zeros(len(batch))
    worth = {(KINDS.index(link.kind), int(link.value, 16)): max(link.log10_e, 0.0) for link in ring.links}
    for column in range(len(SHARED)):
        values, of = np.unique(batch.shared[:, column], return_inverse=True)
        found += np.array([worth.get((kind_index(column), value), 0.0) for value in values.tolist()])[of]
    return found


def _dealt(result: Result, ring: Finding, table: LinkTable, batch: Batch) -> FloatArray:
    """Questions that others ask from the same corpus, and that no second exchange of the ring asks: the more others ask
    one, the more surprising that it came once. One that came again speaks for the members.
    """
    members, everyone = _members(ring, table), table.once(askers)
    rows = rows_of(everyone.account, members)
    question, place = np.unique(everyone.question[rows], return_inverse=True)
    often = np.bincount(place, weights=everyone.times[rows], minlength=len(question))
    common = everyone.asked(question)
    knows = outsiders(members, table.once(customers), everyone) & (everyone.share(common) >= min(KNOWN))
    others = np.bincount(everyone.question[common & knows[everyone.account]], minlength=len(everyone.cores))[question]
    return _of_cores(
        batch, everyone.cores[question], np.where((often == 1) & (others > 0), 1.0 + np.log1p(others), 0.0)
    )


def _samples(result: Result, ring: Finding, table: LinkTable, batch: Batch) -> FloatArray:
    """Questions that were asked by as many as most others were: by two at least."""
    assert table.cores is not None
    inside = table.cores.sample().of(_members(ring, table))
    party = table.once(customers)[inside.account] if ring.links == () else inside.account
    asked, times = times_asked(inside, party)
    often = np.bincount(times)
    usual = 2 + int(often[2:].argmax()) if len(often) > 2 else 0
    return _of_cores(batch, asked, (times == usual).astype(np.float64) * (usual > 0))


def _in_step(result: Result, ring: Finding, table: LinkTable, batch: Batch) -> FloatArray:
    """Moments at which the customer of an exchange is busier than usual, as the others of the ring are. All exchanges
    of a moment weigh the same: leaving one of many out would say little.
    """
    of = table.once(customers)
    members = _members(ring, table)
    number = {name: at for at, name in enumerate(table.accounts) if name}
    owner = np.array([number.get(name, -1) for name in batch.accounts], dtype=np.int64)
    read = np.unique(of[owner[owner >= 0]])
    parties = np.unique(of[members])
    inside = np.union1d(np.intersect1d(read, parties), _some(parties, MOST_TOGETHER))
    others = _some(np.setdiff1d(np.unique(of), parties), MOST_OTHERS)
    by_day = getattr(result.method, "distribution", "").find("by the day") >= 0
    weight, first = busy_together(inside, others, of, table, by_day=by_day)
    found = np.zeros(len(batch))
    unit = 24.0 * HOUR if by_day else HOUR
    cell = np.floor(np.nan_to_num(batch.seconds, nan=-1.0) / unit).astype(np.int64) - first
    mine = owner[batch.owner]
    known = (mine >= 0) & (cell >= 0) & (cell < weight.shape[1]) & np.isin(of[mine], inside)
    row = np.searchsorted(inside, of[mine[known]])
    found[known] = weight[row, cell[known]]
    return found


def _members(ring: Finding, table: LinkTable) -> IntArray:
    names = set(ring.accounts)
    return np.array([at for at, name in enumerate(table.accounts) if name in names], dtype=np.int64)


def _of_cores(batch: Batch, asked: HashArray, weight: FloatArray) -> FloatArray:
    """The weight of what each exchange asked; ``asked`` is sorted."""
    found = np.zeros(len(batch))
    put = np.flatnonzero(batch.prompt >= 0)
    if not len(asked) or not len(put):
        return found
    core = batch.prompts.core[batch.prompt[put]]
    place = np.minimum(np.searchsorted(asked, core), len(asked) - 1)
    found[put] = np.where(asked[place] == core, weight[place], 0.0)
    return found


def _some(numbers: IntArray, most: int) -> IntArray:
    """At most so many of them, evenly spread."""
    return numbers if len(numbers) <= most else numbers[np.linspace(0, len(numbers) - 1, most).astype(np.int64)]


_WEIGH: dict[str, Callable[[Result, Finding, LinkTable, Batch], FloatArray]] = {
    "infrastructure": _shared,
    "dealt": _dealt,
    "samples": _samples,
    "lockstep": _in_step,
}
