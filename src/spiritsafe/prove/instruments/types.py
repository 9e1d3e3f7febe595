"""The call shape of a test that a protocol can run: opened on its inputs, measures a model, is judged with a key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from spiritsafe.prove.suspect import Suspect
from spiritsafe.stats.result import Result


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a test is run; what one has no use for it leaves. ``access`` ``auto`` takes the most that the suspect gives.

    ``samples`` answers of at most ``max_tokens`` are asked for each prompt where text is compared, numbered from
    ``seed`` on; with an ``opening`` the suspect is given so many words of each answer and asked to go on. ``epoch`` is
    the key's; ``mark`` the mark's whole name.
    """

    access: Literal["auto", "text", "logprobs"] = "auto"
    samples: int = 2
    opening: int = 0
    max_tokens: int = 64
    temperature: float = 0.7
    seed: int = 1
    epoch: str = ""
    mark: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a test found about one model under one key. ``main`` is the evidence, ``None`` where there was too little,
    which ``words`` then explain; ``parts`` are by tenant: who, not whether.
    """

    main: Result | None
    parts: tuple[Result, ...] = ()
    words: str = ""


class Instrument(Protocol):
    """A test with its inputs.

    ``n`` counts what there is to compare, in ``unit``. ``first`` and ``last`` are when its data left, ``None`` where
    that is not known: a key committed to after ``first`` proves nothing.
    """

    n: int
    unit: str
    first: datetime | None
    last: datetime | None

    def opens(self, secret: bytes, digest: str) -> bool:
        """Whether ``digest`` is what had to be published of the secret before it was used."""
        ...

    def measure(self, suspect: Suspect, reference: Suspect | None) -> Any:
        """Ask the model all that is needed, knowing no key. Deterministic in what the model says."""
        ...

    def judge(self, measured: Any, secret: bytes, subject: str) -> Outcome:
        """Compare with the key; nobody is asked any more, and the same inputs give the same numbers."""
        ...


Opener = Callable[[Path, Options], Instrument]
"""Opens a test on its inputs' file. Raises ``InputError`` for a file that it can't use."""
