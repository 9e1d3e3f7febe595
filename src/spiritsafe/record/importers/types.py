"""The one call shape of an importer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import NamedTuple

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange


@dataclass(frozen=True)
class Options:
    """What a log doesn't say: ``account`` for exchanges that name none, ``zone`` for times that name none."""

    account: str = "unknown"
    zone: tzinfo = UTC


class Item(NamedTuple):
    """An exchange and its place in the log. One that the log gives no id has an empty ``exchange_id``."""

    where: str
    exchange: Exchange


Found = Item | Problem
"""An exchange, or a place in a log that holds none although it should."""

Read = Callable[[Sequence[Path], Options], Iterator[Found]]
"""Read logs of one form, in order. Raises InputError for a file that isn't of this form at all."""


@dataclass(frozen=True)
class Importer:
    """One form of log."""

    name: str
    about: str
    read: Read
