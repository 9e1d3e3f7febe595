"""What accounts asked about, as a sample that can be compared between accounts: the cores of their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import BoolArray, HashArray, IntArray

MOST_CORES = 512
"""Cores kept of one account, those with the smallest digests: 8 KiB. Accounts keep the same ones of what both asked."""

_LOOSE = 1 << 20


def rows_of(column: IntArray, wanted: IntArray) -> IntArray:
    """The rows of a sorted column that hold one of the different values wanted, by value."""
    wanted = np.sort(wanted)
    first, last = (np.searchsorted(column, wanted, side=side) for side in ("left", "right"))
    count = last - first
    return np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())


class Sample(NamedTuple):
    """``account``, ``core`` and ``times`` (exchanges), sorted by account and core, each pair once."""

    account: IntArray
    core: HashArray
    times: IntArray

    def where(self, kept: BoolArray | IntArray) -> Sample:
        """Some of its rows."""
        return Sample(self.account[kept], self.core[kept], self.times[kept])

    def of(self, accounts: IntArray) -> Sample:
        """The rows of some accounts."""
        return self.where(rows_of(self.account, accounts))


def pairs_of(party: IntArray, core: HashArray) -> tuple[IntArray, HashArray]:
    """Each pair of a party and a core once, sorted. (``numpy.unique`` of rows takes ten times as long.)"""
    order = np.lexsort((core, party))
    party, core = party[order], core[order]
    fresh = np.ones(len(party), dtype=bool)
    fresh[1:] = (party[1:] != party[:-1]) | (core[1:] != core[:-1])
    return party[fresh], core[fresh]


class CoresState(msgspec.Struct, frozen=True, kw_only=True):
    """Cores as they are stored: little-endian int32, uint64, int32."""

    account: bytes
    core: bytes
    count: bytes


class Cores:
    """The same whatever the order of ``learn``, save that the counts of an account's 512th core may run behind."""

    def __init__(self) -> None:
        self._loose: list[Sample] = []
        self._waiting = 0
        self._held = Sample(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))

    def learn(self, account: IntArray, core: HashArray) -> None:
        """Take in one core an exchange."""
        self._loose.append(Sample(account, core, np.ones(len(account), dtype=np.int64)))
        self._waiting += len(account)
        if self._waiting > _LOOSE:
            self._settle()

    @classmethod
    def beside(cls, parts: Sequence[Cores], firsts: Sequence[int]) -> Cores:
        """What all of them saw; account 0 of each is number ``firsts[i]`` here."""
        made = cls()
        for part, first in zip(parts, firsts, strict=True):
            account, core, times = part.sample()
            made._loose.append(Sample(account + first, core, times))
        made._settle()
        return made

    def sample(self) -> Sample:
        """What is kept."""
        self._settle()
        return self._held

    def state(self) -> CoresState:
        """All that ``from_state`` needs."""
        account, core, times = self.sample()
        return CoresState(
            account=account.astype("<i4").tobytes(),
            core=core.astype("<u8").tobytes(),
            count=times.astype("<i4").tobytes(),
        )

    @classmethod
    def from_state(cls, state: CoresState) -> Cores:
        """The cores whose ``state`` this was."""
        made = cls()
        made._held = Sample(
            np.frombuffer(state.account, dtype="<i4").astype(np.int64),
            np.frombuffer(state.core, dtype="<u8").astype(np.uint64),
            np.frombuffer(state.count, dtype="<i4").astype(np.int64),
        )
        return made

    def _settle(self) -> None:
        if not self._loose:
            return
        parts = [self._held, *self._loose]
        self._loose, self._waiting = [], 0
        account = np.concatenate([part.account for part in parts])
        core = np.concatenate([part.core for part in parts])
        times = np.concatenate([part.times for part in parts])
        if not len(account):
            return
        if not _in_order(account, core):
            order = np.lexsort((core, account))
            account, core, times = account[order], core[order], times[order]
        fresh = np.ones(len(account), dtype=bool)
        fresh[1:] = (account[1:] != account[:-1]) | (core[1:] != core[:-1])
        starts = np.flatnonzero(fresh)
        account, core, times = account[starts], core[starts], np.add.reduceat(times, starts)
        first = np.searchsorted(account, account, side="left")
        kept = np.arange(len(account)) - first < MOST_CORES
        self._held = Sample(account, core, times).where(kept)


def _in_order(account: IntArray, core: HashArray) -> bool:
    """Whether rows are sorted already, as buckets are whose accounts follow one another."""
    rises = account[1:] > account[:-1]
    return bool((rises | ((account[1:] == account[:-1]) & (core[1:] >= core[:-1]))).all())
