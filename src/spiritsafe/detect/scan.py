"""One look at a finished log: everything that is found in it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spiritsafe.detect.online import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from spiritsafe.detect.log import Log
    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.types import Evaluation
    from spiritsafe.store.models import Grant

EVERYTHING = float("-inf")


@dataclass(frozen=True)
class Scanned:
    """``accounts`` are all accounts of the log, also those that asked too little to be looked at."""

    evaluation: Evaluation
    accounts: list[str]
    exchanges: int
    seconds: float


def scan(
    log: Log,
    *,
    grants: Sequence[Grant] = (),
    reference: Reference | None = None,
    report: Callable[[int], None] = lambda rows: None,
) -> Scanned:
    """Look at a log. What a grant covers is left out before anything else.

    With a ``reference``, accounts are compared with it, otherwise with one another. ``report`` is told how many rows
    were read, as they are.
    """
    began = time.perf_counter()
    watch = Watch(reference)
    done = 0
    for rows, batch in log.batches(watch.parts, grants, sample=True):
        watch.learn_batch(batch)
        done += rows
        report(done)
    evaluation = watch.evaluate_alone(notable=EVERYTHING) if reference is None else watch.evaluate(notable=EVERYTHING)
    return Scanned(evaluation, log.accounts(), done, time.perf_counter() - began)


def collect(log: Log, *, grants: Sequence[Grant] = (), report: Callable[[int], None] = lambda rows: None) -> Watch:
    """Read a log for a reference: every prompt, in the order of the log."""
    watch = Watch(collect=True)
    done = 0
    for rows, batch in log.batches(watch.parts, grants, sample=False):
        watch.learn_batch(batch)
        done += rows
        report(done)
    return watch
