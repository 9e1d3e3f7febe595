"""Twins as a protocol runs them: pairs in, the coin as the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.protect import twins as drawn
from spiritsafe.prove import twins
from spiritsafe.prove.instruments.types import Options, Outcome
from spiritsafe.prove.suspect import Suspect, gives
from spiritsafe.stats.types import FloatArray
from spiritsafe.teach.types import Sampling


class Measured(msgspec.Struct, frozen=True):
    """The suspect's leanings to slot 0, pair by pair, and what they come from."""

    reading: twins.Reading
    lean: FloatArray


class Twins:
    """Pairs of one epoch; see ``Instrument``."""

    unit = "pairs"

    def __init__(self, pairs: list[drawn.Pair], options: Options) -> None:
        self._pairs = sorted(pairs, key=lambda pair: (pair.time, pair.pair_id))
        self._options = options
        self.n = len(pairs)
        self.first = self._pairs[0].time if pairs else None
        self.last = self._pairs[-1].time if pairs else None

    def opens(self, secret: bytes, digest: str) -> bool:
        """See ``Instrument.opens``."""
        return drawn.commitment(secret, self._options.epoch) == digest

    def measure(self, suspect: Suspect, reference: Suspect | None) -> Measured:
        """See ``Instrument.measure``."""
        options = self._options
        sampling = Sampling(temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed)
        if options.access == "logprobs" or (options.access == "auto" and gives(suspect, "logprobs")):
            reading = twins.by_likelihood(suspect, self._pairs, reference)
        elif options.opening:
            reading = twins.by_continuations(suspect, self._pairs, sampling, options.opening, options.samples)
        else:
            reading = twins.by_answers(suspect, self._pairs, sampling, options.samples, reference)
        return Measured(reading, twins.leanings(reading))

    def judge(self, measured: Any, secret: bytes, subject: str) -> Outcome:
        """See ``Instrument.judge``."""
        found = msgspec.convert(measured, Measured) if not isinstance(measured, Measured) else measured
        coins = [drawn.coin(secret, pair.pair_id) for pair in self._pairs]
        values = twins.preferences(found.lean, coins)
        try:
            main = twins.judge(values, subject, found.reading, seed=self._options.seed)
        except twins.TooFew as error:
            return Outcome(main=None, words=error.message)
        tenants = [pair.tenant for pair in self._pairs]
        parts = twins.by_tenant(values, tenants, subject, found.reading) if len(set(tenants)) > 1 else []
        return Outcome(main=main, parts=tuple(parts))


def open_twins(path: Path, options: Options) -> Twins:
    """Pairs from JSON lines (``protect.twins.read_pairs``), all of the options' epoch."""
    pairs = drawn.read_pairs(path)
    strangers = [pair.pair_id for pair in pairs if pair.epoch != options.epoch]
    if strangers:
        raise InputError(
            f"{len(strangers)} pairs are of another epoch than {options.epoch!r}, the first {strangers[0]!r}",
            where=str(path),
            remedy="Make a test of each epoch: each has its own key.",
        )
    return Twins(pairs, options)
