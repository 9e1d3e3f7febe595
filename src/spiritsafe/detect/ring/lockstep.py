"""Customers that are busy at the same moments, moments at which others are not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from spiritsafe.detect.ring.communities import communities
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.ring.directions import Directions
from spiritsafe.detect.ring.manner import manner
from spiritsafe.detect.ring.rhythm import Crowd, Rhythm, crowd_of, days_of_week, rhythm
from spiritsafe.detect.ring.stars import Stars, stars
from spiritsafe.detect.ring.sums import log10_chosen, log10_given
from spiritsafe.detect.types import Ring
from spiritsafe.detect.wealth import evidence_of_ring
from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spiritsafe.detect.types import Basis, FloatArray, IntArray, Link, LinkTable

LEAST_EXCHANGES = 48
LEAST_CUSTOMERS = 3
LEVEL = -3.0
"""log10 of the chance that any such group forms in the whole log by accident."""

GUARD_HOURS, GUARD_DAYS = 1.25, 1.3
"""By how much z is shrunk: pairs of honest customers of the traffic simulator lie up to 1.06 and 1.27 times as far out
as normal ones would, from z = 3 on (docs/log.md).
"""

OWN = 1.64
STRANGER = 6.5
"""How many standard errors a member's own moments must agree with the others', and those of somebody new."""

_THURSDAY = 3
"""What 1970-01-01 was, counted from Monday."""

_MOST_DAYS = 28
_AGREES = 0.05
_BLOCK = 4096
_MOST_TOLD = 1000
_NULL = (
    "each customer is busy at moments of its own, its daily habits and everybody's moments apart: those of one say"
    " nothing about those of another"
)


class _Group(NamedTuple):
    members: IntArray
    log10_p: float
    by: str


class Lockstep:
    """Rings of customers in step, by the hour or by the day.

    What is compared is what is left of a customer's hours when its days' totals, its hours of the day, weekends,
    the time before it came, and the hours in which everyone was busy are taken out (``rhythm``). Its sources of error
    are customers with the same irregular calendar, such as a holiday that only some keep.
    """

    name = "lockstep"
    version = 1
    basis: Basis = "when"

    def links(self, table: LinkTable) -> list[Link]:
        """None: being busy at the same time is no value that could be shared."""
        return []

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """One ring a community of customers in step; its evidence is of the family ``when``."""
        steps = table.once(_steps)
        if steps is None:
            return []
        of = table.once(customers)
        groups = _groups(steps.found, table.looks)
        own = _own(steps.log, steps.crowd, len(of)) if groups else steps.found
        return [_ring(group, steps.found, own, of, steps.busy, table) for group in groups]


class _Steps(NamedTuple):
    """The rhythms of the customers that asked enough; ``busy`` are their numbers."""

    log: _Log
    busy: IntArray
    crowd: Crowd
    found: Rhythm


def _steps(table: LinkTable) -> _Steps | None:
    """None where nothing is known of time, or of too few."""
    if table.moments is None:
        return None
    of = table.once(customers)
    account, hour, times = table.moments.columns()
    known = account < len(table.accounts)
    account, hour, times = account[known], hour[known], times[known]
    asked = np.bincount(of[account], weights=times, minlength=1)
    busy = np.flatnonzero(asked >= LEAST_EXCHANGES)
    if len(busy) < LEAST_CUSTOMERS:
        return None
    clock = _Clock.of(hour)
    log = _Log(account, hour, times, clock)
    whole = log.counts(busy, of)
    crowd = crowd_of(whole, clock.week)
    return _Steps(log, busy, crowd, rhythm(whole, crowd))


def in_step(ring_ids: Sequence[str], sets: Sequence[IntArray], table: LinkTable) -> list[Evidence]:
    """The evidence, of the family ``when``, that sets of accounts which were chosen without a look at the clock keep
    step: one a set.
    """
    steps = table.once(_steps) if ring_ids else None
    if steps is None:
        return []
    of = table.once(customers)
    return [_given(name, np.unique(of[s]), steps) for name, s in zip(ring_ids, sets, strict=True)]


def _given(ring_id: str, parties: IntArray, steps: _Steps) -> Evidence:
    at = np.flatnonzero(np.isin(steps.busy, parties))
    found = steps.found
    uneven = at[found.uneven[at]]
    each = {"hour": log10_given(_hours(found).of(at)), "day": log10_given(_days(found).of(uneven))}
    by = min(each, key=lambda name: each[name])
    log10_p = min(0.0, each[by] + math.log10(2.0))
    rows = found.hours[at] if by == "hour" else found.days[uneven]
    middle = _middle(rows)
    words = (
        f"what is left of its customers' {by}s besides their own habits correlates by {middle:.2f} (chance alone: 0);"
        f" of sets chosen without a look at the clock one in 10^{-log10_p:.0f} does so"
    )
    return _evidence(ring_id, _Group(at, log10_p, by), middle, len(rows), (words,))


def _hours(found: Rhythm) -> Directions:
    return Directions(found.hours, found.hour_width, GUARD_HOURS, narrow=True)


def _days(found: Rhythm) -> Directions:
    return Directions(found.days, found.day_width, GUARD_DAYS)


def busy_together(
    parties: IntArray, others: IntArray, of: IntArray, table: LinkTable, *, by_day: bool
) -> tuple[FloatArray, int]:
    """What each moment at which one of the sorted ``parties`` and the rest of them are busy adds to their agreement,
    [parties, hours] or [parties, days] since the number (since 1970) that is returned beside it; 0 for other moments.

    ``others`` are the customers that show what all have in common.
    """
    assert table.moments is not None
    account, hour, times = table.moments.columns()
    known = account < len(table.accounts)
    account, hour, times = account[known], hour[known], times[known]
    if not len(hour):
        return np.zeros((len(parties), 0)), 0
    clock = _Clock.of(hour)
    log = _Log(account, hour, times, clock)
    counts = log.counts(parties, of)
    crowd = crowd_of(np.concatenate([counts, log.counts(others, of)]) if len(others) else counts, clock.week)
    found = rhythm(counts, crowd)
    rows = (found.days if by_day else found.hours).astype(np.float64)
    rest = rows.sum(axis=0) - rows
    return np.maximum(rows, 0.0) * np.maximum(rest, 0.0), clock.first * (1 if by_day else 24)


class _Log(NamedTuple):
    account: IntArray
    hour: IntArray
    times: IntArray
    clock: _Clock

    def counts(self, which: IntArray, of: IntArray) -> NDArray[np.float32]:
        """Exchanges [rows, days, 24] of the sorted numbers ``which``, account i counting for ``of[i]``."""
        number = of[self.account]
        row = np.minimum(np.searchsorted(which, number), len(which) - 1)
        kept = (which[row] == number) & (self.hour >= self.clock.first * 24)
        cells = self.clock.days * 24
        cell = row[kept] * cells + self.hour[kept] - self.clock.first * 24
        flat = np.bincount(cell, weights=self.times[kept], minlength=len(which) * cells)
        return flat.reshape(len(which), self.clock.days, 24).astype(np.float32)


class _Clock(NamedTuple):
    first: int
    days: int
    week: IntArray

    @classmethod
    def of(cls, hour: IntArray) -> _Clock:
        last = int(hour.max()) // 24
        first = max(int(hour.min()) // 24, last - _MOST_DAYS + 1)
        return cls(first, last - first + 1, days_of_week(first + _THURSDAY, last - first + 1))


def _groups(found: Rhythm, looks: int) -> list[_Group]:
    """Communities of rows in step, by hours first; a row is in one of them."""
    # Hours and days were both looked at, and this time is not the first.
    price = math.log10(2.0 * looks)
    hours = stars(_hours(found), LEVEL)
    said = np.flatnonzero((found.hours != 0).any(axis=1))
    groups = _apart(_communities(hours, np.arange(len(found.hours)), "hour", price), found, said, price)
    taken = np.concatenate([np.zeros(0, dtype=np.int64), *(group.members for group in groups)])
    # Who starts, ends or pauses on one day does so with many others: a ring can't begin with that.
    begins = np.setdiff1d(np.flatnonzero(found.uneven & ~found.stretch), taken)
    days = stars(_days(found).of(begins), LEVEL)
    uneven = np.setdiff1d(np.flatnonzero(found.uneven), taken)
    return groups + _apart(_communities(days, begins, "day", price), found, uneven, price)


def _apart(groups: Sequence[_Group], found: Rhythm, others: IntArray, price: float) -> list[_Group]:
    """The groups with all who agree with them, the surest first; who is in one is in no other."""
    kept = []
    for group in sorted(groups, key=lambda each: each.log10_p):
        whole = group._replace(members=np.intersect1d(group.members, others))
        agreed = _agreed(whole, found, others, price) if len(whole.members) >= LEAST_CUSTOMERS else None
        if agreed is not None:
            kept.append(agreed)
            others = np.setdiff1d(others, agreed.members)
    return kept


def _agreed(group: _Group, found: Rhythm, others: IntArray, price: float) -> _Group | None:
    """Of the ``others`` those that agree with the group's sum, themselves left out, beyond chance (Bonferroni).

    Near a large group, a customer that leans a little towards it leans towards all of it, and looks like the centre
    of a star: only what agrees this much belongs to it.
    """
    directions = _hours(found) if group.by == "hour" else _days(found)
    among, inside = directions.of(others), np.isin(others, group.members)
    z = among.with_sums(directions.rows[group.members].sum(axis=0) - among.rows * inside[:, None])
    agree = others[z >= stats.norm.isf(_AGREES / max(len(others), 1))]
    if len(agree) < LEAST_CUSTOMERS:
        return None
    # Two ways to say how unlikely it is: by its surest star, or by all its members in a row.
    chosen = log10_chosen(directions.of(agree), len(others))
    return group._replace(members=np.sort(agree), log10_p=min(group.log10_p, chosen + price, 0.0) + math.log10(2.0))


def _communities(found: Stars, rows: IntArray, by: str, price: float) -> list[_Group]:
    """Leiden communities of the rays of significant stars among ``rows``; ``price`` (log10) is for the looks taken."""
    groups = []
    for members in communities(found.left, found.right, len(rows)):
        best = float(found.log10_p[members].min()) + price
        if len(members) >= LEAST_CUSTOMERS and best <= LEVEL:
            groups.append(_Group(rows[members], best, by))
    return groups


def _own(log: _Log, crowd: Crowd, accounts: int) -> Rhythm:
    """The rhythm of each account alone."""
    itself = np.arange(accounts)
    blocks = (itself[start : start + _BLOCK] for start in range(0, accounts, _BLOCK))
    each = [rhythm(log.counts(block, itself), crowd) for block in blocks]
    return Rhythm(*(np.concatenate(columns) for columns in zip(*each, strict=True)))


def _ring(group: _Group, found: Rhythm, own: Rhythm, of: IntArray, busy: IntArray, table: LinkTable) -> Ring:
    """The ring of one community: its customers' accounts, and others that keep its time."""
    rows = (found.hours if group.by == "hour" else found.days)[group.members]
    inside = np.isin(of, busy[group.members])
    z = _agreement(group, rows, own, of, busy)
    named = np.array([bool(name) for name in table.accounts])
    who = np.flatnonzero(named & (inside | (z >= STRANGER)))
    reasons = {
        table.accounts[at]: f"its own busy {group.by}s agree with the others' by {z[at]:.1f} standard errors"
        for at in who.tolist()
        if z[at] >= OWN
    }
    parts: dict[int, list[str]] = {}
    for at in who.tolist():
        parts.setdefault(int(of[at]), []).append(table.accounts[at])
    members = tuple(sorted(table.accounts[at] for at in who.tolist()))
    middle = _middle(rows)
    because = (
        (
            f"{len(members)} accounts of {len(parts)} customers are busy in the same {group.by}s, when others are not:"
            f" what is left of their {group.by}s besides their own habits correlates by {middle:.2f} (chance alone: 0)"
        ),
        f"such a group forms by chance in one log in 10^{-group.log10_p:.0f}",
        "it would be cleared by a common cause that others do not have, such as one scheduler sold to all of them",
    )
    ring_id = f"ring-step-{min(members)}" if members else "ring-step"
    return Ring(
        ring_id=ring_id,
        accounts=members,
        kinds=("rhythm",),
        links=(),
        log10_p=group.log10_p,
        honest_group=max((len(names) for names in parts.values()), default=1),
        because=because,
        basis="when",
        customers=tuple(tuple(sorted(names)) for names in parts.values()),
        evidence=(
            _evidence(ring_id, group, middle, len(parts), because),
            *manner(ring_id, np.flatnonzero(inside), of, table),
        ),
        reasons=reasons,
    )


def _middle(rows: NDArray[np.float32]) -> float:
    """The median correlation of pairs of rows; of very many rows, of those that stand for all."""
    some = rows[:: max(1, -(-len(rows) // _MOST_TOLD))]
    return float(np.median((some @ some.T)[np.triu_indices(len(some), 1)])) if len(some) > 1 else 0.0


def _agreement(group: _Group, members: NDArray[np.float32], own: Rhythm, of: IntArray, busy: IntArray) -> FloatArray:
    """z of the correlation of each account's own rhythm with the sum of the members', its own customer left out."""
    each = (_hours(own) if group.by == "hour" else _days(own))._replace(guard=1.0)
    place = np.full(int(of.max()) + 1, -1, dtype=np.int64)
    place[busy[group.members]] = np.arange(len(members))
    total, z = members.sum(axis=0), np.zeros(len(of))
    for start in range(0, len(of), _BLOCK):
        part = np.arange(start, min(start + _BLOCK, len(of)))
        at = place[of[part]]
        z[part] = each.of(part).with_sums(total - members[at] * (at >= 0)[:, None])
    return z


def _evidence(ring_id: str, group: _Group, middle: float, parties: int, because: tuple[str, ...]) -> Evidence:
    return evidence_of_ring(
        "when",
        "lockstep",
        ring_id,
        _NULL,
        group.log10_p,
        n=parties,
        unit="customers",
        effect=middle,
        distribution=f"binomial tail of Fisher's z by the {group.by}, guarded",
        because=because,
    )
