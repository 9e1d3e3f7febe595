"""The watch over all accounts: takes in exchanges as they come, and says at any time what is found."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import polars as pl

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.comparable import Comparable
from spiritsafe.detect.cores import Cores, CoresState
from spiritsafe.detect.features import Batch, digest, from_exchanges
from spiritsafe.detect.found import Judged, findings
from spiritsafe.detect.joint import View, joint
from spiritsafe.detect.judge import FromOwnLog, FromReference, Scored
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.kinds import directions, kinds_of, nearest, place_of, points_of
from spiritsafe.detect.middles import Middles, is_known
from spiritsafe.detect.moments import Moments, MomentsState
from spiritsafe.detect.peers import Company
from spiritsafe.detect.ring import RING_DETECTORS, absorbed
from spiritsafe.detect.ring.customers import customers
from spiritsafe.detect.tenant import MOST_MODELS, Tenant, TenantState, Windows
from spiritsafe.detect.types import UNKNOWN, Evaluation, LinkTable, Measured, Peers
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from spiritsafe.detect.reference import Kind, Reference
    from spiritsafe.detect.types import AccountDetector, IntArray, Ring, RingDetector, Rows
    from spiritsafe.record.exchange import Exchange

VERSION = 3
NOTABLE = 1.0
LEAST_KNOWN = 20
"""Accounts whose calls a detector must know anything about before it ranks any."""

_GROWN = 1.02
_MORE_ASKED = 1.1
"""By so much exchanges must have grown before rings are looked for again that are found by when or what is asked."""

_THREADS = min(4, os.cpu_count() or 1)
_NONE = np.zeros((0, 1), dtype=np.float32)
_NO_WINDOW = np.zeros(0, dtype=np.float32)


class Look(NamedTuple):
    """A checkpoint that an account passed: its windows, and the one that says what it asks about, or an empty one."""

    tenant: Tenant
    windows: Windows
    asked: Rows


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    detectors: list[str]


class _State(_Head, frozen=True, kw_only=True):
    tenants: list[TenantState]
    moments: MomentsState
    cores: CoresState
    permitted: CoresState
    exchanges: int
    looks: int


class Watch:
    """Keeps what detection knows of every account, in bounded memory each, and evaluates it.

    With a ``reference``, accounts are compared with its accounts, over periods of its length, and may be evaluated
    as often as one likes: each account's statistic is the highest at any checkpoint so far, and so is each score of
    the reference. Without one, ``evaluate`` finds nothing and says so, and ``evaluate_alone`` compares the accounts
    with one another, which is meant for one look at a finished log. ``learn`` and ``learn_batch`` alone change it,
    save that ``evaluate`` settles what they left to measure.
    """

    def __init__(
        self,
        reference: Reference | None = None,
        *,
        detectors: Sequence[AccountDetector] | None = None,
        ring_detectors: Sequence[RingDetector] = RING_DETECTORS,
        key: bytes = b"",
        collect: bool = False,
    ) -> None:
        self.reference = reference
        every = tuple(account_detectors() if detectors is None else detectors)
        self.detectors = tuple(d for d in every if reference is None or reference.knows(d))
        self.left_out = tuple(d.name for d in every if d not in self.detectors)
        self.parts = frozenset().union(*(d.parts for d in self.detectors if d.sees == "prompts"))
        self.tenants: dict[str, Tenant] = {}
        self.passed: list[Look] = []
        self.span = (math.inf, -math.inf)
        self._asks = place_of(self.detectors)
        self._ring_detectors = ring_detectors
        self._key = key
        self._collect = collect or reference is not None
        self._users: Counter[tuple[int, int]] = Counter()
        self._rings: list[Ring] | None = None
        self._counted = 0
        self._kin: Kin | None = None
        self._number: dict[str, int] = {}
        self._moments = Moments()
        self._cores = Cores()
        self._permitted = Cores()
        self._exchanges = 0
        self._behaving: tuple[int, list[Ring]] = (0, [])
        self._customers = np.zeros(0, dtype=np.int64)
        self._looks = 0

    def learn(self, exchanges: Sequence[Exchange]) -> None:
        """Take in exchanges, oldest first. Those under a grant are permitted: they weigh on nobody, and show what
        others may be asking from as well.
        """
        counted = [exchange for exchange in exchanges if exchange.grant_id is None]
        if counted:
            self.learn_batch(from_exchanges(counted, self.parts, self._key))
        if len(counted) < len(exchanges):
            granted = [exchange for exchange in exchanges if exchange.grant_id is not None]
            self.learn_permitted(from_exchanges(granted, frozenset(), self._key))

    def learn_permitted(self, batch: Batch) -> None:
        """Take in what was asked under grants."""
        if not len(batch):
            return
        asked = batch.prompt >= 0
        names = np.array([digest("account", name) & 0x7FFFFFFF for name in batch.accounts], dtype=np.int64)
        self._permitted.learn(names[batch.owner[asked]], batch.prompts.core[batch.prompt[asked]])

    def learn_batch(self, batch: Batch) -> None:
        """Take in a batch, oldest first."""
        if not len(batch):
            return
        looking = (detector for detector in self.detectors if detector.sees == "prompts")
        features = [detector.features(batch.prompts) for detector in looking]
        order = np.argsort(batch.owner, kind="stable")
        seen = batch.calls()
        calls = [detector.features(seen)[order] for detector in self.detectors if detector.sees == "calls"]
        starts = np.flatnonzero(np.diff(batch.owner[order], prepend=-1))
        began = np.fmin.reduceat(batch.seconds[order], starts).tolist()
        if not np.isnan(batch.seconds).all():
            first, last = float(np.nanmin(batch.seconds)), float(np.nanmax(batch.seconds))
            self.span = (min(self.span[0], first), max(self.span[1], last))
        here = []
        for start, rows, since in zip(starts.tolist(), np.split(order, starts[1:]), began, strict=True):
            name = batch.accounts[batch.owner[rows[0]]]
            tenant = self.tenants.get(name)
            if tenant is None:
                tenant = self.tenants[name] = Tenant(name, self.detectors)
                self._number[name] = len(self._number)
            here.append(tenant)
            self._period(tenant, since)
            tenant.exchanges += len(rows)
            asked = batch.prompt[rows]
            asked = asked[asked >= 0]
            looks = self._collect
            passed = tenant.learn(self.detectors, batch.prompts.template[asked], features, asked, every_look=looks)
            passed += tenant.learn_calls(
                self.detectors, [each[start : start + len(rows)] for each in calls], every_look=looks
            )
            if looks and passed:
                about = _NO_WINDOW if self._asks is None else tenant.largest(self.detectors, self._asks)
                self.passed += [Look(tenant, windows, about) for windows in passed]
        self._share(here, batch, batch.owner[order[starts]])
        number = np.array([self._number.get(name, -1) for name in batch.accounts], dtype=np.int64)[batch.owner]
        self._exchanges += len(batch)
        self._moments.learn(number, batch.seconds)
        held = batch.prompt >= 0
        self._cores.learn(number[held], batch.prompts.core[batch.prompt[held]])

    def evaluate(self, *, granted: frozenset[str] = frozenset(), notable: float = NOTABLE) -> Evaluation:
        """Everything found by now, compared with the reference.

        Accounts in ``granted`` are neither scored nor counted into rings. Only subjects with at least ``notable``
        (log10) in some family are spelt out.
        """
        reference = self.reference
        if reference is None:
            return Evaluation(
                findings=(),
                tested=0,
                because=("there is no reference of honest traffic to compare with: observing only",),
            )
        self._measure(reference)
        names = [n for n, t in self.tenants.items() if t.best and n not in granted]
        best = np.array([self.tenants[n].best for n in names], dtype=np.float64).reshape(
            len(names), len(self.detectors), 3
        )
        scored = []
        for place, detector in enumerate(self.detectors):
            if detector.sees == "calls" and reference.detectors[detector.name].known() < LEAST_KNOWN:
                continue
            statistic, effect, n = (best[:, place, i] for i in range(3)) if names else (np.zeros(0),) * 3
            ranks = FromReference(statistic, reference.scores(detector.name))
            scored.append(Scored(detector, Measured(statistic, effect, n.astype(np.int64)), ranks))
        seen = [(each.detector, each.measured.statistic) for each in scored]
        views = [View(d.family, statistic, reference.detectors[d.name].statistic()) for d, statistic in seen]
        jointly = joint(views, reference.digest()) if reference.in_order() else None
        rings = self._known_rings(reference.honest_group)
        comparable = self._comparable(rings, names, reference.kinds)
        judged = Judged(names, scored, granted, len(self.tenants), self._because(reference), jointly, comparable)
        return findings(judged, rings, self.tenants, notable)

    def evaluate_alone(self, *, granted: frozenset[str] = frozenset(), notable: float = NOTABLE) -> Evaluation:
        """Everything found, each account compared with the others here: one look at a finished log."""
        shown = {name: t.windows(self.detectors) for name, t in self.tenants.items() if name not in granted}
        names = [name for name, windows in shown.items() if windows]
        tenants, held = [self.tenants[name] for name in names], [shown[name] for name in names]
        kinds = kinds_of(self.detectors, tenants)
        points = points_of(self.detectors, tenants)
        kind = np.zeros(len(tenants), dtype=np.int64) if points is None else nearest(kinds, points)
        scored = []
        # Matrix products take most of the time, and leave other threads alone.
        with ThreadPoolExecutor(_THREADS) as pool:
            each = range(len(self.detectors))
            every = list(pool.map(lambda at: _measure_alone(tenants, held, at, self.detectors, kinds, kind), each))
        for detector, measured in zip(self.detectors, every, strict=True):
            if detector.sees == "calls" and is_known(measured.statistic).sum() < LEAST_KNOWN:
                continue
            mark = "blake2b-128:" + hashlib.blake2b(np.sort(measured.statistic).tobytes(), digest_size=16).hexdigest()
            scored.append(Scored(detector, measured, FromOwnLog(measured.statistic, mark)))
        because = (
            f"compared with the other {max(len(names) - 1, 0)} accounts of this log: one account alone can be shown"
            f" to be one in {max(len(names), 1)} at most, and what is wrong with many of them shows less"
        )
        views = [View(each.detector.family, each.measured.statistic, None) for each in scored]
        jointly = joint(views, "the other accounts of this log")
        rings = self.rings()
        comparable = self._comparable(rings, names, kinds)
        judged = Judged(names, scored, granted, len(self.tenants), because, jointly, comparable)
        return findings(judged, rings, self.tenants, notable)

    def _because(self, reference: Reference) -> str:
        said = reference.because()
        if not self.left_out:
            return said
        return f"{said}; it was made without {', '.join(self.left_out)}, left out here too: calibrate again"

    def snapshot(self) -> bytes:
        """All that ``restore`` needs to go on from here."""
        if self.reference is not None:
            self._measure(self.reference)
        state = _State(
            version=VERSION,
            detectors=[f"{d.name}/{d.version}" for d in self.detectors],
            tenants=[tenant.state(self.detectors) for tenant in self.tenants.values()],
            moments=self._moments.state(),
            cores=self._cores.state(),
            permitted=self._permitted.state(),
            exchanges=self._exchanges,
            looks=self._looks,
        )
        return msgspec.msgpack.encode(state)

    def restore(self, *snapshots: bytes) -> None:
        """Go on from snapshots of watches with the same detectors and reference, each of other accounts. Raises
        InputError for others.
        """
        self._join(snapshots, learns=True)

    def judge_from(self, snapshots: Iterable[bytes]) -> None:
        """Take in snapshots as ``restore`` does, one after the other, to evaluate them and learn nothing more."""
        self._join(snapshots, learns=False)

    def _join(self, snapshots: Iterable[bytes], *, learns: bool) -> None:
        self.tenants = {}
        moments: list[Moments] = []
        cores: list[Cores] = []
        permitted: list[Cores] = []
        firsts: list[int] = []
        self._exchanges = self._looks = 0
        for snapshot in snapshots:
            state = self._read(snapshot)
            firsts.append(len(self.tenants))
            made = (Tenant.from_state(held, self.detectors, learns=learns) for held in state.tenants)
            self.tenants.update((tenant.account_id, tenant) for tenant in made)
            moments.append(Moments.from_state(state.moments))
            cores.append(Cores.from_state(state.cores))
            permitted.append(Cores.from_state(state.permitted))
            self._exchanges += state.exchanges
            self._looks = max(self._looks, state.looks)
        self._users = Counter(pair for tenant in self.tenants.values() for pair in tenant.shared)
        self._number = {name: number for number, name in enumerate(self.tenants)}
        self._moments, self._cores = Moments.beside(moments, firsts), Cores.beside(cores, firsts)
        self._permitted = Cores.beside(permitted, [0] * len(firsts))
        self._rings, self._behaving = None, (0, [])

    def _read(self, snapshot: bytes) -> _State:
        mine = [f"{d.name}/{d.version}" for d in self.detectors]
        remedy = "Remove it; the record is read from the start."
        try:
            head = msgspec.msgpack.decode(snapshot, type=_Head)
            if head.version != VERSION or head.detectors != mine:
                raise InputError(
                    f"the snapshot was made by detectors {', '.join(head.detectors)} (form {head.version}),"
                    f" these are {', '.join(mine)} (form {VERSION})",
                    remedy=remedy,
                )
            return msgspec.msgpack.decode(snapshot, type=_State)
        except msgspec.DecodeError as error:
            raise InputError(f"the watch's snapshot is damaged: {error}", remedy=remedy) from error

    def table(self) -> LinkTable:
        """Which account used which value. The reference's peers stand among them without a name, so that what is
        common and what is rare can be told while few accounts have come.
        """
        shared: list[Iterable[tuple[int, int]]] = [tenant.shared for tenant in self.tenants.values()]
        if self.reference is not None:
            here = {digest("account", name) for name in self.tenants}
            reference = zip(self.reference.peers, self.reference.shared, strict=True)
            shared += [pairs for peer, pairs in reference if peer not in here]
        uses = [(row, *pair) for row, pairs in enumerate(shared) for pair in pairs]
        account, column, value = zip(*uses, strict=True) if uses else ((), (), ())
        return LinkTable(
            (*self.tenants, *("" for _ in range(len(shared) - len(self.tenants)))),
            np.array(account, dtype=np.int64),
            np.array(column, dtype=np.int64),
            np.array(value, dtype=np.uint64),
            moments=self._moments,
            cores=self._cores,
            permitted=self._permitted,
            means=self._means(),
            looks=max(self._looks, 1),
        )

    def rings(self, honest_group: int | None = None) -> list[Ring]:
        """The rings and candidates among all accounts: from what they share, when they ask, and what."""
        self._looks += 1
        table = self.table()
        return absorbed([*self._sharing(table, honest_group), *self._behaviour(table, honest_group)])

    def _known_rings(self, honest_group: int) -> list[Ring]:
        """The same, looked for again only when enough has changed."""
        # How rare a value is changes a little with every account that comes; who shares it with whom does not.
        if self._rings is None or len(self.tenants) > self._counted * _GROWN:
            self._rings, self._counted = self._sharing(self.table(), honest_group), len(self.tenants)
        if self._exchanges > self._behaving[0] * _MORE_ASKED:
            # Each look is another chance to err, and is counted as one.
            self._looks += 1
            self._behaving = (self._exchanges, self._behaviour(self.table(), honest_group))
        return absorbed([*self._rings, *self._behaving[1]])

    def _sharing(self, table: LinkTable, honest_group: int | None) -> list[Ring]:
        found = (d.rings(d.links(table), table, honest_group) for d in self._ring_detectors if d.basis == "shared")
        return [ring for rings in found for ring in rings]

    def _behaviour(self, table: LinkTable, honest_group: int | None) -> list[Ring]:
        looking = [detector for detector in self._ring_detectors if detector.basis != "shared"]
        table.settle()
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(lambda detector: detector.rings([], table, honest_group), looking))
        rings = [ring for some in found for ring in some]
        if any(ring.basis == "when" for ring in rings):
            self._customers = table.once(customers)[: len(self.tenants)]
        return rings

    def _comparable(self, rings: Sequence[Ring], names: Sequence[str], kinds: Sequence[Kind]) -> Comparable | None:
        """Which of the accounts are of one kind and send as much, if there is a ring that it takes to know this for."""
        if not any(ring.basis == "when" for ring in rings):
            return None
        tenants = [self.tenants[name] for name in names]
        points = points_of(self.detectors, tenants)
        kind = np.zeros(len(names), dtype=np.int64) if points is None else nearest(kinds, points)
        number = np.array([self._number[name] for name in names], dtype=np.int64)
        # Who came since rings were looked for is a customer of its own.
        of = np.append(self._customers, np.arange(len(self._number)) + len(self._customers))[number]
        exchanges = np.array([tenant.exchanges for tenant in tenants], dtype=np.int64)
        return Comparable.of(names, kind, exchanges, of, self._looks)

    def _means(self) -> Rows:
        """Count and summed embeddings of each account's largest window."""
        if self._asks is None or not self.tenants:
            return _NONE
        rows = [tenant.largest(self.detectors, self._asks) for tenant in self.tenants.values()]
        none = np.zeros(max((len(row) for row in rows), default=1) or 1, dtype=np.float32)
        return np.stack([row if len(row) else none for row in rows])

    def _period(self, tenant: Tenant, seconds: float) -> None:
        """Start the account's next period once the reference's length has gone by."""
        if math.isnan(seconds):
            return
        if tenant.started is None:
            tenant.started = seconds
        horizon = self.reference.horizon if self.reference is not None else 0.0
        if horizon > 0.0 and seconds - tenant.started > horizon:
            self.passed = [look for look in self.passed if look.tenant is not tenant]
            tenant.start(self.detectors, seconds)

    def _share(self, here: list[Tenant], batch: Batch, owners: IntArray) -> None:
        """Note what the accounts used. Rings are looked for again only when a value gains a second account."""
        tenants = dict(zip(owners.tolist(), here, strict=True))
        used: dict[str, NDArray[Any]] = {f"{c}": batch.shared[:, c] for c in range(batch.shared.shape[1])}
        for row in (
            pl.DataFrame({"owner": batch.owner, "model": batch.model, **used}).unique(maintain_order=True).iter_rows()
        ):
            tenant = tenants[row[0]]
            if len(tenant.models) < MOST_MODELS:
                tenant.models.add(batch.models[row[1]])
            for column, value in enumerate(row[2:]):
                if value and tenant.share(column, value):
                    self._users[column, value] += 1
                    if self._users[column, value] > 1:
                        self._rings = None

    def _measure(self, reference: Reference) -> None:
        """Measure the windows at all checkpoints passed since the last time, and keep each account's highest."""
        passed, self.passed = self.passed, []
        if not passed:
            return
        if self._kin is None:
            self._kin = reference.kin()
        for look in passed:
            look.tenant.best = look.tenant.best or [(UNKNOWN, 0.0, 0)] * len(self.detectors)
        kind = nearest(reference.kinds, directions([look.asked for look in passed]))
        left_out = [self._kin.of(look.tenant) for look in passed]
        for place, detector in enumerate(self.detectors):
            some = [at for at, look in enumerate(passed) if len(look.windows[place])]
            if not some:
                continue
            windows = np.stack([passed[at].windows[place] for at in some])
            absent = [left_out[at] for at in some]
            measured = detector.measure(windows, reference.windows(detector.name), absent)
            statistic = measured.statistic
            if detector.by_kind:
                statistic = reference.middles(detector.name).standing(statistic, kind[some])
            for at, *seen in zip(some, statistic, measured.effect, measured.n, strict=True):
                best = passed[at].tenant.best
                if seen[0] > best[place][0]:
                    best[place] = (float(seen[0]), float(seen[1]), int(seen[2]))


def _measure_alone(
    tenants: Sequence[Tenant],
    held: Sequence[Sequence[Windows]],
    place: int,
    detectors: Sequence[AccountDetector],
    kinds: Sequence[Kind],
    kind: IntArray,
) -> Measured:
    """Each account's highest statistic over the windows ``held`` of it, its peers other accounts' largest windows."""
    detector = detectors[place]
    mine = [[windows[place] for windows in each if len(windows[place])] for each in held]
    owner = np.array([row for row, windows in enumerate(mine) for _ in windows], dtype=np.int64)
    best = Measured(np.full(len(tenants), UNKNOWN), np.zeros(len(tenants)), np.zeros(len(tenants), dtype=np.int64))
    if not owner.size:
        return best
    windows = np.stack([window for each in mine for window in each])
    peers, left_out = Peers(windows[:0]), [np.zeros(0, dtype=np.int64)] * len(owner)
    if detector.needs_peers:
        company = Company.of_log(tenants, detectors, place)
        own = [company.left_out(tenant) for tenant in tenants]
        peers, left_out = company.peers, [own[row] for row in owner]
    measured = detector.measure(windows, peers, left_out)
    order = np.lexsort((measured.statistic, owner))
    last = order[np.flatnonzero(np.diff(owner[order], append=len(tenants)))]
    best.statistic[owner[last]] = measured.statistic[last]
    best.effect[owner[last]], best.n[owner[last]] = measured.effect[last], measured.n[last]
    if not detector.by_kind:
        return best
    standing = Middles.of(best.statistic, kind, len(kinds)).standing(best.statistic, kind)
    return Measured(standing, best.effect, best.n)
