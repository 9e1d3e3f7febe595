"""Canaries as a protocol runs them: sentences with many candidate codes in, the key says which was planted.

The inputs name, for each canary, the candidates in rising order; which of them is the planted one is known to the key
alone, so who asks the suspect can't favour it. A suspect that gives no log-probabilities is asked to go on where the
public part of the sentence ends, and what counts is which codes it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.lines import read_lines
from spiritsafe.protect.canaries import SPACE, Canary, canary, commitment
from spiritsafe.prove.canaries import DECOYS, codes_named, named, ranked
from spiritsafe.prove.instruments.types import Options, Outcome
from spiritsafe.prove.suspect import Suspect, gives
from spiritsafe.teach.types import Raw, Sampling


class Planted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One canary: its name, when it first left, and the candidates' places in the space."""

    name: str
    time: datetime
    candidates: tuple[int, ...]


class Measured(msgspec.Struct, frozen=True):
    """For each canary, the log-probability of each candidate, or the codes that the suspect itself named."""

    by: Literal["likelihood", "naming"]
    found: list[list[float]]


class Canaries:
    """See ``Instrument``."""

    unit = "canaries"

    def __init__(self, planted: list[Planted], options: Options) -> None:
        self._planted, self._options = planted, options
        self.n = len(planted)
        self.first = min((one.time for one in planted), default=None)
        self.last = max((one.time for one in planted), default=None)

    def opens(self, secret: bytes, digest: str) -> bool:
        """See ``Instrument.opens``."""
        return commitment(secret) == digest

    def measure(self, suspect: Suspect, reference: Suspect | None) -> Measured:
        """See ``Instrument.measure``."""
        options = self._options
        blank = [canary(bytes(32), one.name) for one in self._planted]  # all but the code is public
        if options.access == "text" or (options.access == "auto" and not gives(suspect, "logprobs")):
            sampling = Sampling(temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed)
            codes = codes_named(suspect, [bird.opening for bird in blank], sampling, options.samples)
            return Measured("naming", [list(map(float, each)) for each in codes])
        asked = [
            (Raw(bird.opening), bird.with_code(number)[len(bird.opening) :])
            for bird, one in zip(blank, self._planted, strict=True)
            for number in one.candidates
        ]
        scores = iter(suspect.score(asked))
        return Measured("likelihood", [[next(scores).total for _ in one.candidates] for one in self._planted])

    def judge(self, measured: Any, secret: bytes, subject: str) -> Outcome:
        """See ``Instrument.judge``. Under a decoy key the candidate at that key's place stands for the planted one."""
        seen = msgspec.convert(measured, Measured) if not isinstance(measured, Measured) else measured
        if not self._planted:
            return Outcome(main=None, words="no canary was planted")
        numbers = [canary(secret, one.name).number for one in self._planted]
        if seen.by == "naming":
            codes = [list(map(int, each)) for each in seen.found]
            return Outcome(main=named(numbers, codes, self._options.samples, subject))
        ranks = []
        for one, number, scores in zip(self._planted, numbers, seen.found, strict=True):
            at = one.candidates.index(number) if number in one.candidates else number % len(one.candidates)
            ranks.append(sum(score >= scores[at] for score in scores))
        least = min(len(one.candidates) for one in self._planted)
        return Outcome(main=ranked(ranks, least - 1, subject))


def plant(birds: Iterable[Canary], time: datetime, decoys: int = DECOYS, seed: int = 0) -> list[Planted]:
    """Inputs for these canaries, ``decoys`` other codes beside each."""
    found = []
    for bird in birds:
        dice = Random(f"{seed}:{bird.name}")  # noqa: S311 - they are published
        others = dice.sample([n for n in range(SPACE) if n != bird.number], decoys)
        found.append(Planted(name=bird.name, time=time, candidates=tuple(sorted([bird.number, *others]))))
    return found


def write_planted(path: Path, planted: Iterable[Planted]) -> None:
    """Write the inputs as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(one, order="sorted") + b"\n" for one in planted))


def open_canaries(path: Path, options: Options) -> Canaries:
    """Inputs from JSON lines. Raises ``InputError`` naming the line that is none."""
    found = []
    for where, one in read_lines(path, Planted, what="canary", remedy="A line holds name, time and candidates."):
        fit = len(set(one.candidates)) == len(one.candidates) > 1
        if not fit or min(one.candidates) < 0 or max(one.candidates) >= SPACE:
            raise InputError("its candidates are not two or more distinct codes", where=where, remedy="Plant it anew.")
        found.append(one)
    return Canaries(found, options)
