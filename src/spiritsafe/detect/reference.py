"""Honest traffic to compare with: statistics only, no text, in one file."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from spiritsafe.detect.kin import Kin
from spiritsafe.detect.middles import Middles, is_known
from spiritsafe.detect.starter import located
from spiritsafe.detect.types import Peers
from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.sketch import SKETCH
from spiritsafe.stats import conformal
from spiritsafe.stats.intervals import clopper_pearson

if TYPE_CHECKING:
    from spiritsafe.detect.types import AccountDetector, FloatArray

VERSION = 3
_MAGIC = b"spiritsafe reference\n"


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """One detector's share: the highest statistic that each reference account reached (float64; ``UNKNOWN`` for one of
    which it knew nothing), the accounts in one order for all detectors, and the windows of the peers (float32
    [peers, width]) if it compares with peers. ``middle`` and ``spread`` are those of the kinds (``Middles``) if it is
    ranked by kind.
    """

    version: int
    scores: bytes
    width: int = 0
    peers: bytes = b""
    middle: list[float] = []
    spread: list[float] = []

    def statistic(self) -> FloatArray:
        """The scores as they stand."""
        return np.frombuffer(self.scores, dtype="<f8")

    def known(self) -> int:
        """Of how many accounts it knows anything."""
        return int(is_known(self.statistic()).sum())


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of tenant: how many of the accounts are of it, and its centre (float32, of length 1).

    ``usual`` and ``widest`` are the distances from it (1 less the cosine) of half and of 95% of them; None in a
    reference that was made before they were kept.
    """

    name: str
    accounts: int
    centre: bytes
    usual: float | None = None
    widest: float | None = None


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """How often accounts that the reference had not seen, on later days, would have been thought strange at a level.

    An alarm is a p-value at most ``level`` divided by the number of detectors, in any of them; ``kind`` is empty for
    all kinds together.
    """

    kind: str
    since: datetime
    until: datetime
    level: float
    tested: int
    alarms: int

    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of the rate."""
        return clopper_pearson(self.alarms, self.tested)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What honest accounts look like to each detector.

    Peers and scores come from different accounts, so that a new account stands to the peers as those that were
    scored do (split conformal). ``horizon`` is the length of the traffic in seconds: an account is compared over
    periods of this length. ``honest_group`` is how many accounts an honest company has at most. ``peers`` are digests
    of the peers' names and ``shared`` what they share, so that an account is never compared with its own kin.
    ``contamination`` is the share of accounts that may not have been honest after all, ``left_out`` how many were left
    out as members of rings: what is left of them takes the top ranks, so evidence is weaker than it could be, and
    never stronger. ``starter``: made from generated traffic, nobody's own.
    """

    version: int = VERSION
    made: datetime
    source: str
    sketch: str = SKETCH
    accounts: int
    horizon: float
    honest_group: int
    peers: list[int]
    shared: list[list[tuple[int, int]]]
    detectors: dict[str, Calibration]
    kinds: list[Kind] = []
    alarms: list[Alarm] = []
    expires: datetime | None = None
    contamination: float = 0.0
    left_out: int = 0
    starter: bool = False

    def scores(self, name: str) -> conformal.Reference:
        """The scores of one detector. Raises ``KeyError`` for a detector that was not there."""
        statistic = self.detectors[name].statistic()
        return conformal.Reference.of(statistic[is_known(statistic)])

    def windows(self, name: str) -> Peers:
        """The peers of one detector; no rows if it needs none."""
        held = self.detectors[name]
        rows = np.frombuffer(held.peers, dtype="<f4").reshape(-1, held.width or 1)
        return Peers(rows)

    def middles(self, name: str) -> Middles:
        """What one detector's statistic is among each kind."""
        held = self.detectors[name]
        return Middles(np.array(held.middle), np.array(held.spread))

    def in_order(self) -> bool:
        """Whether its detectors' scores are of the same accounts in the same order, which they were not before 3."""
        return self.version >= VERSION

    def knows(self, detector: AccountDetector) -> bool:
        """Whether it was made with this very detector."""
        held = self.detectors.get(detector.name)
        return held is not None and held.version == detector.version

    def kin(self) -> Kin:
        """Finds an account's kin among the peers."""
        return Kin(self.peers, self.shared)

    def digest(self) -> str:
        """Names this very reference."""
        return "blake2b-128:" + hashlib.blake2b(msgspec.msgpack.encode(self), digest_size=16).hexdigest()

    def because(self, now: datetime | None = None) -> str:
        """What it is, and what bounds the evidence that rests on it, in a sentence. ``now`` is the present."""
        most = max((held.known() for held in self.detectors.values()), default=0)
        now = now or datetime.now(UTC)
        doubts = []
        if self.starter:
            doubts.append("this is the starter reference, made from generated traffic: calibrate with your own")
        if self.expires is not None and now >= self.expires:
            doubts.append(f"the reference expired on {self.expires:%Y-%m-%d}: calibrate again")
        said = (
            f"compared with {most} accounts of {self.source}, made {self.made:%Y-%m-%d}: one account alone can be"
            f" shown to be one in {most + 1} at most, and an honest company is taken to hold {self.honest_group}"
            " accounts at most"
        )
        return "; ".join((said, *doubts))

    def save(self, path: Path) -> None:
        """Write it as one file."""
        try:
            path.write_bytes(_MAGIC + msgspec.msgpack.encode(self))
        except OSError as error:
            raise ResourceError(
                f"the reference can't be written: {error.strerror}",
                remedy="Check the folder and the disk.",
                where=str(path),
            ) from error


class _Head(msgspec.Struct):
    version: int
    sketch: str


def load(path: Path) -> Reference:
    """Read a reference; ``starter`` is the one that ships, unless there is a file of this name.

    Raises InputError if it is none, damaged, or made by a newer version or for other sketches.
    """
    path = located(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the reference can't be read: {error.strerror}", remedy="Check the path.", where=str(path)
        ) from error
    if not data.startswith(_MAGIC):
        raise InputError(
            "not a reference", remedy="Make one with: spiritsafe calibrate LOG --out FILE", where=str(path)
        )
    try:
        head = msgspec.msgpack.decode(data[len(_MAGIC) :], type=_Head)
        if head.version > VERSION:
            raise InputError(
                f"the reference has version {head.version}, this program knows {VERSION}",
                remedy="Read it with a newer spiritsafe, or make it again.",
                where=str(path),
            )
        if head.sketch != SKETCH:
            raise InputError(
                f"the reference was made from sketches {head.sketch!r}, this version makes {SKETCH!r}",
                remedy="Make it again from the log.",
                where=str(path),
            )
        return msgspec.msgpack.decode(data[len(_MAGIC) :], type=Reference)
    except msgspec.DecodeError as error:
        raise InputError(f"the reference is damaged: {error}", remedy="Make it again.", where=str(path)) from error
