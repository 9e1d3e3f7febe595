"""The shapes that detection is made of: what a detector is given, what it gives, and what is found."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from spiritsafe.stats.result import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spiritsafe.detect.calls import Calls
    from spiritsafe.detect.cores import Cores
    from spiritsafe.detect.moments import Moments
    from spiritsafe.record.sketch import Part, SketchColumns

M = TypeVar("M")
Rows = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
HashArray = NDArray[np.uint64]

Family = Literal["asked", "phrased", "when", "drawn", "together"]
"""What is asked; how it is phrased; how much and when; how it is drawn; who asks together."""

LinkKind = Literal["payment", "place", "client", "system"]
"""Independent kinds of link. An address prefix and the network it lies in are one kind: ``place``."""

KINDS: tuple[LinkKind, ...] = get_args(LinkKind)

UNKNOWN = -1e9
"""The statistic of a window that says nothing to a detector, since what it reads was not in the log: no evidence."""

Basis = Literal["shared", "when", "asked"]
"""What a ring is found by: what its members share, when they ask, or what they ask."""

Bond = Literal["payment", "place", "client", "system", "rhythm", "corpus"]
"""What binds a ring: a kind of link, being busy at the same moments, or asking from one corpus."""


class Tracker(Protocol):
    """One account's running summary for one detector, in bounded memory."""

    def learn(self, rows: Rows) -> None:
        """Take in features [n, width], of prompts or of calls: the only thing that changes a tracker."""

    def window(self) -> Rows:
        """What has been seen so far, as one row; the tracker stays as it was."""

    def state(self) -> bytes:
        """All that ``AccountDetector.from_state`` needs to go on from here."""


@dataclass(frozen=True, eq=False)
class Peers:
    """Windows of accounts to compare with: ``rows`` [accounts, width]. Empty for a detector that needs none."""

    rows: Rows


@dataclass(frozen=True, eq=False)
class Measured:
    """One entry a window. ``statistic``: higher is more suspicious, comparable between windows of any size; ``UNKNOWN``
    where nothing can be said.

    ``effect`` is a size that a person can read, its meaning is the detector's; ``n`` the prompts or calls behind it.
    """

    statistic: FloatArray
    effect: FloatArray
    n: IntArray


class Detector(Protocol):
    """A statistic of one account. It knows neither thresholds nor p-values: ranks are made elsewhere.

    ``features`` looks at each prompt or call alone, ``Tracker`` adds them up, ``measure`` compares. Only a tracker's
    ``learn`` changes anything. A ``by_kind`` statistic is ranked by how far it stands from the middle of the accounts
    that ask about the same. ``weight`` is its part in the mean over its family: the one that finds most has the most,
    so that what the others don't see takes little from it. ``clears`` says what would explain a high statistic.
    """

    name: str
    version: int
    family: Family
    null: str
    needs_peers: bool
    by_kind: bool
    weight: float
    clears: str

    def tracker(self) -> Tracker:
        """A tracker that has seen nothing."""

    def from_state(self, state: bytes) -> Tracker:
        """The tracker whose ``state`` this was."""

    def measure(self, windows: Rows, peers: Peers, left_out: Sequence[IntArray]) -> Measured:
        """Score windows [m, width of a window]. ``left_out[i]`` are the rows of ``peers`` not to compare i with."""

    def words(self, effect: float, n: int) -> str:
        """What was seen, as a fact that a person can check."""


class PromptDetector(Detector, Protocol):
    """Looks at what is asked, in blocks of distinct prompts (``tenant.BLOCK``), after each of which its tracker starts
    afresh. One with ``every_prompt`` is shown repetitions too, the others each prompt once.
    """

    sees: Literal["prompts"]
    parts: frozenset[Part]
    every_prompt: bool

    def features(self, sketches: SketchColumns) -> Rows:
        """Features of each text [n, width], whatever stands beside it."""


class CallDetector(Detector, Protocol):
    """Looks at when and how answers are drawn, at every call of a period. The order of calls must not matter, nor may
    a column that the log lacks (NaN): what isn't known is no evidence.
    """

    sees: Literal["calls"]

    def features(self, calls: Calls) -> Rows:
        """Features of each call [n, width], whatever stands beside it."""


AccountDetector = PromptDetector | CallDetector


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Accounts that share one value. ``value`` is a digest of it. ``log10_e`` is the wealth of the bet that any one
    of them shares it by chance, at the base rate of its kind or of the value, whichever is higher.
    """

    kind: LinkKind
    value: str
    accounts: tuple[str, ...]
    log10_e: float


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """A set of linked accounts. ``ring_id`` stays the same while the ring grows.

    ``kinds`` bind it. With one kind of link alone it is a candidate, which nothing but its members' own
    evidence can make suspicious. ``log10_p`` is the chance of such a ring under the null of its detector.

    ``basis`` is what it was found by, which decides how its members' evidence may be pooled: by what they share
    (``shared``: ``log10_p`` is the chance that groups of honest size meet like this), by when they ask (``when``),
    or by what they ask (``asked``). ``customers`` are its members by who pays; ``evidence`` is that of its detector;
    ``reasons`` says of each accused member what speaks against it itself; without any, its own e-values do.
    """

    ring_id: str
    accounts: tuple[str, ...]
    kinds: tuple[Bond, ...]
    links: tuple[Link, ...]
    log10_p: float
    honest_group: int
    because: tuple[str, ...]
    basis: Basis = "shared"
    customers: tuple[tuple[str, ...], ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reasons: dict[str, str] = {}


class RingDetector(Protocol):
    """Finds sets of accounts that belong together. ``basis`` is by what; see ``Ring``."""

    name: str
    version: int
    basis: Basis

    def links(self, table: LinkTable) -> list[Link]:
        """Edges, each with its kind and e-value."""

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """Sets bound by those edges, and candidates bound by one kind of link. ``honest_group`` is how many accounts
        an honest company has at most; by default it is read off the other rings in the table.
        """


@dataclass(frozen=True, eq=False)
class LinkTable:
    """Which account used which value: parallel columns, each triple once. ``accounts`` are all, linked or not;
    an account without a name is there to count by, and joins no ring.

    ``account`` is an index into ``accounts``, ``column`` one into ``features.SHARED``, ``value`` a digest of what
    was used. ``moments`` and ``cores`` are when and about what they asked, by the same indices; ``permitted`` is what
    accounts under a grant asked about; ``means`` has a row an account, its count of prompts and the sum of their
    embeddings, zeros where it asked too little. ``looks`` counts how often rings were looked for in this traffic.
    """

    accounts: tuple[str, ...]
    account: IntArray
    column: IntArray
    value: HashArray
    moments: Moments | None = None
    cores: Cores | None = None
    permitted: Cores | None = None
    means: Rows | None = None
    looks: int = 1
    _made: dict[Callable[[LinkTable], Any], Any] = field(default_factory=dict, init=False, repr=False)
    _making: RLock = field(default_factory=RLock, init=False, repr=False)

    def once(self, make: Callable[[LinkTable], M]) -> M:
        """What a function makes of this table, made for the first who asks; others wait for it."""
        with self._making:
            if make not in self._made:
                self._made[make] = make(self)
            made: M = self._made[make]
            return made

    def settle(self) -> None:
        """Bring what was learnt last into order, so that several may read at the same time."""
        if self.moments is not None:
            self.moments.columns()
        for cores in (self.cores, self.permitted):
            if cores is not None:
                cores.sample()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One subject with the evidence about it: what detection hands to policy.

    ``accounts`` are all that it covers: one, or the members of a ring. ``accused`` are those whose own evidence
    points the same way; the others were only near. ``models`` are those it asked for, granted exchanges left out.
    ``reasons`` say of members what speaks against each of them itself, where the ring's evidence does not say it.
    """

    subject: str
    subject_kind: Literal["account", "ring"]
    accounts: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    accused: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    reasons: dict[str, str] = {}


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of honest tenant that a subject looks most alike, by what it asks.

    ``distance`` is 1 less the cosine between the directions of what both ask about on average: 0 for the same, 1 for
    nothing in common. ``usual`` and ``widest`` are the distances of half and of 95% of the kind's own ``accounts``,
    None where a reference does not say. ``example`` is the account nearest to the kind's centre, in a log that is
    compared with itself.
    """

    kind: str
    accounts: int
    distance: float
    usual: float | None = None
    widest: float | None = None
    example: str | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All that is found at one time. ``tested`` counts every subject looked at, found or not: multiplicity needs it.

    ``because`` says what bounds the evidence: the reference's size, or that there is none.
    """

    findings: tuple[Finding, ...]
    tested: int
    because: tuple[str, ...]
