"""When accounts asked: how many exchanges in each hour, as columns for all accounts together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import FloatArray, IntArray

HOUR = 3600.0
MOST_HOURS = 28 * 24
"""Four weeks: what lies further back is dropped, so that an account takes at most 8 KiB."""

_WRONG, _AHEAD_OF_ALL = 0.05, 0.001
_AHEAD = 48
_LOOSE = 1 << 20


class MomentsState(msgspec.Struct, frozen=True, kw_only=True):
    """Moments as they are stored: little-endian int32, int32, int32."""

    account: bytes
    hour: bytes
    count: bytes


class Moments:
    """``account`` (a number of the caller's), ``hour`` (since 1970) and ``count`` (exchanges), sorted, each pair once.

    Order and repetition of ``learn`` don't matter: late events count where they belong, if that is not too long ago.
    """

    def __init__(self) -> None:
        self._loose: list[tuple[IntArray, IntArray]] = []
        self._waiting = 0
        self._keys = np.zeros(0, dtype=np.int64)
        self._counts = np.zeros(0, dtype=np.int64)
        self._columns: tuple[IntArray, IntArray, IntArray] | None = None

    def learn(self, account: IntArray, seconds: FloatArray) -> None:
        """Count exchanges; those without a time, or before 1970, count for nothing."""
        hour = np.floor(np.nan_to_num(seconds, nan=-1.0) / HOUR)
        known = (hour >= 0.0) & (hour < 2.0**31)
        keys, counts = np.unique(account[known] << 32 | hour[known].astype(np.int64), return_counts=True)
        self._loose.append((keys, counts.astype(np.int64)))
        self._waiting += len(keys)
        if self._waiting > _LOOSE:
            self._settle()

    @classmethod
    def beside(cls, parts: Sequence[Moments], firsts: Sequence[int]) -> Moments:
        """What all of them saw; account 0 of each is number ``firsts[i]`` here."""
        made = cls()
        for part, first in zip(parts, firsts, strict=True):
            part._settle()
            made._loose.append((part._keys + (first << 32), part._counts))
        made._settle()
        return made

    def columns(self) -> tuple[IntArray, IntArray, IntArray]:
        """Accounts, hours and counts, without what lies weeks ahead of nearly everything else."""
        self._settle()
        if self._columns is None:
            self._columns = self._found()
        return self._columns

    def _found(self) -> tuple[IntArray, IntArray, IntArray]:
        hour = self._keys & 0xFFFFFFFF
        near = hour[hour <= _end(hour) + MOST_HOURS]
        last = int(np.quantile(near, 1.0 - _AHEAD_OF_ALL, method="higher")) if len(near) else 0
        kept = (hour > last - MOST_HOURS) & (hour <= last + _AHEAD)
        return (self._keys >> 32)[kept], hour[kept], self._counts[kept]

    def state(self) -> MomentsState:
        """All that ``from_state`` needs."""
        self._settle()
        columns = (self._keys >> 32, self._keys & 0xFFFFFFFF, self._counts)
        held = [column.astype("<i4").tobytes() for column in columns]
        return MomentsState(account=held[0], hour=held[1], count=held[2])

    @classmethod
    def from_state(cls, state: MomentsState) -> Moments:
        """The moments whose ``state`` this was."""
        made = cls()
        account, hour, count = (
            np.frombuffer(held, dtype="<i4").astype(np.int64) for held in (state.account, state.hour, state.count)
        )
        made._keys, made._counts = account << 32 | hour, count
        return made

    def _settle(self) -> None:
        if not self._loose:
            return
        self._columns = None
        keys = np.concatenate([self._keys, *(k for k, _ in self._loose)])
        counts = np.concatenate([self._counts, *(c for _, c in self._loose)])
        self._loose, self._waiting = [], 0
        if not len(keys):
            return
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self._keys, self._counts = keys[starts], np.add.reduceat(counts, starts)
        hour = self._keys & 0xFFFFFFFF
        kept = hour > _end(hour) - MOST_HOURS
        self._keys, self._counts = self._keys[kept], self._counts[kept]


def _end(hour: IntArray) -> int:
    """Where all but a twentieth lies: clocks that run years ahead must not push out what all others did.

    What lies ahead of it is held back, and not thrown away: after a gap in the traffic it is what comes next.
    """
    return int(np.quantile(hour, 1.0 - _WRONG, method="higher")) if len(hour) else 0
