"""What a kind of tenant is: a name, a habit, and a stream of asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """One question as a client will send it. ``max_tokens`` bounds the answer."""

    prompt: str
    system: str | None = None
    max_tokens: int = 24
    temperature: float = 0.7


class Kind(msgspec.Struct, frozen=True):
    """A kind of honest tenant.

    ``asks(rng)`` is one account of this kind: an endless stream whose character (interests, house,
    voice) is drawn from ``rng`` first and stays. ``pause`` is the median number of seconds between an
    answer and the next question; ``clients`` are the user agents that such accounts show; ``sorts`` how many
    narrow sorts of accounts there are within the kind, each of which asks about one thing alone.
    """

    name: str
    about: str
    asks: Callable[[Random], Iterator[Ask]]
    pause: float
    clients: tuple[str, ...]
    sorts: int = 1
