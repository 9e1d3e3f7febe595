"""The watch over all accounts: takes in exchanges as they come, and says at any time what is found."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from spiritsafe.detect.account import account_detectors
from spiritsafe.detect.features import Batch, digest, from_exchanges
from spiritsafe.detect.judge import FromOwnLog, FromReference, Scored, accused, together
from spiritsafe.detect.kin import Kin
from spiritsafe.detect.ring import RING_DETECTORS
from spiritsafe.detect.ring.pairs import LEAST_MEMBERS
from spiritsafe.detect.tenant import MOST_MODELS, Tenant, TenantState, Windows
from spiritsafe.detect.types import Evaluation, Finding, LinkTable, Measured, Peers
from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import AccountDetector, IntArray, Ring, RingDetector
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.stats.result import Evidence

VERSION = 1
NOTABLE = 1.0
UNMEASURED = -1e9
_GROWN = 1.02


class _State(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    detectors: list[str]
    tenants: list[TenantState]


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
        self.detectors = tuple(account_detectors() if detectors is None else detectors)
        self.parts = frozenset().union(*(d.parts for d in self.detectors))
        self.tenants: dict[str, Tenant] = {}
        self.passed: list[tuple[Tenant, Windows]] = []
        self.span = (math.inf, -math.inf)
        self._ring_detectors = ring_detectors
        self._key = key
        self._collect = collect or reference is not None
        self._users: Counter[tuple[int, int]] = Counter()
        self._rings: list[Ring] | None = None
        self._counted = 0
        self._kin: Kin | None = None

    def learn(self, exchanges: Sequence[Exchange]) -> None:
        """Take in exchanges, oldest first. Those under a grant are permitted, and count for nothing."""
        counted = [exchange for exchange in exchanges if exchange.grant_id is None]
        if counted:
            self.learn_batch(from_exchanges(counted, self.parts, self._key))

    def learn_batch(self, batch: Batch) -> None:
        """Take in a batch, oldest first."""
        if not len(batch):
            return
        features = [detector.features(batch.prompts) for detector in self.detectors]
        order = np.argsort(batch.owner, kind="stable")
        starts = np.flatnonzero(np.diff(batch.owner[order], prepend=-1))
        began = np.fmin.reduceat(batch.seconds[order], starts).tolist()
        if not np.isnan(batch.seconds).all():
            first, last = float(np.nanmin(batch.seconds)), float(np.nanmax(batch.seconds))
            self.span = (min(self.span[0], first), max(self.span[1], last))
        here = []
        for rows, since in zip(np.split(order, starts[1:]), began, strict=True):
            name = batch.accounts[batch.owner[rows[0]]]
            tenant = self.tenants.get(name)
            if tenant is None:
                tenant = self.tenants[name] = Tenant(name, self.detectors)
            here.append(tenant)
            self._period(tenant, since)
            tenant.exchanges += len(rows)
            asked = batch.prompt[rows]
            asked = asked[asked >= 0]
            passed = tenant.learn(self.detectors, batch.prompts.template[asked], features, asked)
            if self._collect:
                self.passed += [(tenant, windows) for windows in passed]
        self._share(here, batch, batch.owner[order[starts]])

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
            statistic, effect, n = (best[:, place, i] for i in range(3)) if names else (np.zeros(0),) * 3
            ranks = FromReference(statistic, reference.scores(detector.name))
            scored.append(Scored(detector, Measured(statistic, effect, n.astype(np.int64)), ranks))
        # How rare a value is changes a little with every account that comes; who shares it with whom does not.
        if self._rings is None or len(self.tenants) > self._counted * _GROWN:
            self._rings, self._counted = self.rings(reference.honest_group), len(self.tenants)
        return self._findings(names, scored, self._rings, granted, notable, reference.because())

    def evaluate_alone(self, *, granted: frozenset[str] = frozenset(), notable: float = NOTABLE) -> Evaluation:
        """Everything found, each account compared with the others here: one look at a finished log."""
        tenants = [t for t in self.tenants.values() if t.windows() and t.account_id not in granted]
        names = [t.account_id for t in tenants]
        scored = []
        for place, detector in enumerate(self.detectors):
            measured = _measure_alone(tenants, place, detector)
            mark = "blake2b-128:" + hashlib.blake2b(np.sort(measured.statistic).tobytes(), digest_size=16).hexdigest()
            scored.append(Scored(detector, measured, FromOwnLog(measured.statistic, mark)))
        because = (
            f"compared with the other {max(len(names) - 1, 0)} accounts of this log: one account alone can be shown"
            f" to be one in {max(len(names), 1)} at most, and what is wrong with many of them shows less"
        )
        return self._findings(names, scored, self.rings(), granted, notable, because)

    def snapshot(self) -> bytes:
        """All that ``restore`` needs to go on from here."""
        if self.reference is not None:
            self._measure(self.reference)
        state = _State(
            version=VERSION,
            detectors=[f"{d.name}/{d.version}" for d in self.detectors],
            tenants=[tenant.state() for tenant in self.tenants.values()],
        )
        return msgspec.msgpack.encode(state)

    def restore(self, snapshot: bytes) -> None:
        """Go on from a snapshot of a watch with the same detectors and reference. Raises InputError for another."""
        try:
            state = msgspec.msgpack.decode(snapshot, type=_State)
        except msgspec.DecodeError as error:
            raise InputError(
                f"the watch's snapshot is damaged: {error}", remedy="Remove it; the record is read from the start."
            ) from error
        mine = [f"{d.name}/{d.version}" for d in self.detectors]
        if state.version != VERSION or state.detectors != mine:
            raise InputError(
                f"the snapshot was made by detectors {', '.join(state.detectors)}, these are {', '.join(mine)}",
                remedy="Remove it; the record is read from the start.",
            )
        self.tenants = {t.account_id: Tenant.from_state(t, self.detectors) for t in state.tenants}
        self._users = Counter(pair for tenant in self.tenants.values() for pair in tenant.shared)
        self._rings = None

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
        )

    def rings(self, honest_group: int | None = None) -> list[Ring]:
        """The rings and candidates among all accounts, from what they share."""
        table = self.table()
        return [r for d in self._ring_detectors for r in d.rings(d.links(table), table, honest_group)]

    def _period(self, tenant: Tenant, seconds: float) -> None:
        """Start the account's next period once the reference's length has gone by."""
        if math.isnan(seconds):
            return
        if tenant.started is None:
            tenant.started = seconds
        horizon = self.reference.horizon if self.reference is not None else 0.0
        if horizon > 0.0 and seconds - tenant.started > horizon:
            self.passed = [(who, windows) for who, windows in self.passed if who is not tenant]
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
        left_out = [self._kin.of(digest("account", t.account_id), t.shared) for t, _ in passed]
        for place, detector in enumerate(self.detectors):
            windows = np.stack([w[place] for _, w in passed])
            measured = detector.measure(windows, reference.windows(detector.name), left_out)
            for (tenant, _), *seen in zip(passed, measured.statistic, measured.effect, measured.n, strict=True):
                if not tenant.best:
                    tenant.best = [(UNMEASURED, 0.0, 0)] * len(self.detectors)
                if seen[0] > tenant.best[place][0]:
                    tenant.best[place] = (float(seen[0]), float(seen[1]), int(seen[2]))

    def _findings(
        self,
        names: list[str],
        scored: list[Scored],
        rings: list[Ring],
        granted: frozenset[str],
        notable: float,
        because: str,
    ) -> Evaluation:
        rows = {name: row for row, name in enumerate(names)}
        everyone = np.arange(len(names))
        wealth = np.max([s.log10_e(everyone) for s in scored], axis=0) if names else np.zeros(0)
        shown = np.flatnonzero(wealth >= notable)
        who = [names[row] for row in shown.tolist()]
        told = zip(*(s.accounts(shown, who) for s in scored), strict=True) if who else ()
        findings = [
            Finding(
                subject=name,
                subject_kind="account",
                accounts=(name,),
                accused=(name,),
                evidence=evidence,
                models=tuple(sorted(self.tenants[name].models)),
            )
            for name, evidence in zip(who, told, strict=True)
        ]
        tested = len(names)
        for ring in rings:
            members = np.array([rows[name] for name in ring.accounts if name in rows], dtype=np.int64)
            if members.size < LEAST_MEMBERS:
                continue
            tested += 1
            evidence = (*(s.ring(members, ring) for s in scored), together(ring))
            if max(e.result.log10_e for e in evidence) >= notable:
                findings.append(self._ring_finding(ring, evidence, accused(ring, scored, rows), granted))
        return Evaluation(findings=tuple(findings), tested=tested, because=(because,))

    def _ring_finding(
        self, ring: Ring, evidence: tuple[Evidence, ...], who: tuple[str, ...], granted: frozenset[str]
    ) -> Finding:
        accounts = tuple(name for name in ring.accounts if name not in granted)
        return Finding(
            subject=ring.ring_id,
            subject_kind="ring",
            accounts=accounts,
            accused=who,
            evidence=evidence,
            models=tuple(sorted(set().union(*(self.tenants[name].models for name in accounts)))),
            links=ring.links,
        )


def _measure_alone(tenants: Sequence[Tenant], place: int, detector: AccountDetector) -> Measured:
    """Each account's highest statistic over its last windows, its peers the other accounts' largest windows."""
    owner = np.array([row for row, t in enumerate(tenants) for _ in t.windows()], dtype=np.int64)
    if not owner.size:
        return Measured(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    windows = np.stack([w[place] for t in tenants for w in t.windows()])
    peers, left_out = Peers(windows[:0]), [np.zeros(0, dtype=np.int64)] * len(owner)
    if detector.needs_peers:
        peers = Peers(np.stack([(list(t.done) or [t.latest])[-1][place] for t in tenants]))
        names = [digest("account", t.account_id) for t in tenants]
        kin = Kin(names, [t.shared for t in tenants])
        own = [kin.of(name, t.shared) for name, t in zip(names, tenants, strict=True)]
        left_out = [own[row] for row in owner]
    measured = detector.measure(windows, peers, left_out)
    order = np.lexsort((measured.statistic, owner))
    last = order[np.flatnonzero(np.diff(owner[order], append=len(tenants)))]
    return Measured(measured.statistic[last], measured.effect[last], measured.n[last])
