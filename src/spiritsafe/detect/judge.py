"""Evidence about accounts and rings from their statistics: ranks, wealth, and pooling within a ring."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spiritsafe.detect.middles import is_known
from spiritsafe.detect.wealth import DELTA, evidence_of_ring, log10_allowance, log10_wealth
from spiritsafe.stats.conformal import as_high
from spiritsafe.stats.evalues import average, e_to_p, tempered_product
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.result import Conformal, Evidence, Exact, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spiritsafe.detect.comparable import Dealt
    from spiritsafe.detect.types import AccountDetector, FloatArray, IntArray, Measured, Ring
    from spiritsafe.stats.conformal import Reference as Scores


class Ranks(Protocol):
    """Conformal p-values of subjects, by the numbers of their rows."""

    def p(self, rows: IntArray, together: bool) -> tuple[FloatArray, int]:
        """p-values in (0, 1] and the number of accounts ranked among. ``together``: the rows are one subject."""

    def method(self, n: int) -> Conformal:
        """How they were obtained."""


@dataclass(frozen=True, eq=False)
class FromReference:
    """Ranks among the scores of a reference."""

    statistic: FloatArray
    scores: Scores

    def p(self, rows: IntArray, together: bool) -> tuple[FloatArray, int]:
        """p-values; no row is in the reference."""
        return self.scores.p(self.statistic[rows]), self.scores.scores.size

    def method(self, n: int) -> Conformal:
        """How they were obtained."""
        return self.scores.method()


class FromOwnLog:
    """Ranks among the other accounts of the same log, themselves (or, together, all of them) left out.

    Valid if all accounts of the log are honest. What is not honest takes the top ranks and hides behind itself:
    that costs power, and never makes an honest account look worse.
    """

    def __init__(self, statistic: FloatArray, digest: str) -> None:
        self._statistic = statistic
        self._ordered = np.sort(statistic[is_known(statistic)])
        self._digest = digest

    def p(self, rows: IntArray, together: bool) -> tuple[FloatArray, int]:
        """p-values among the rest."""
        mine = self._statistic[rows]
        out = as_high(np.sort(mine), mine) if together else 1
        n = self._ordered.size - (mine.size if together else 1)
        return np.asarray((1.0 + as_high(self._ordered, mine) - out) / (n + 1.0)), n

    def method(self, n: int) -> Conformal:
        """How they were obtained."""
        return Conformal(reference=self._digest, n=n)


@dataclass(frozen=True, eq=False)
class Scored:
    """One detector's view of all accounts: a row each, those without a window left out by ``rows``.

    Of accounts whose statistic is unknown there is no evidence at all, for or against: their e-value is 1.
    """

    detector: AccountDetector
    measured: Measured
    ranks: Ranks

    def known(self, rows: IntArray) -> IntArray:
        """Those of the rows of which the detector can say anything."""
        return rows[is_known(self.measured.statistic[rows])]

    def log10_e(self, rows: IntArray) -> FloatArray:
        """The wealth of the bet against each account alone."""
        wealth = np.zeros(len(rows))
        known = is_known(self.measured.statistic[rows])
        if known.any():
            p, n = self.ranks.p(rows[known], together=False)
            wealth[known] = log10_wealth(p, n)
        return wealth

    def accounts(self, rows: IntArray, names: Sequence[str]) -> list[Evidence | None]:
        """The evidence about each of some accounts alone, None where there is none."""
        told: list[Evidence | None] = [None] * len(rows)
        some = np.flatnonzero(is_known(self.measured.statistic[rows]))
        if not some.size:
            return told
        p, n = self.ranks.p(rows[some], together=False)
        wealth, method = log10_wealth(p, n), self.ranks.method(n)
        for at, chance, log10_e in zip(some.tolist(), p.tolist(), wealth.tolist(), strict=True):
            told[at] = self._account(names[at], int(rows[at]), chance, log10_e, n, method)
        return told

    def _account(self, name: str, row: int, p: float, log10_e: float, n: int, method: Conformal) -> Evidence:
        effect, prompts = float(self.measured.effect[row]), int(self.measured.n[row])
        as_much = round(p * (n + 1)) - 1
        rank = (
            f"{as_much} of {n} reference accounts show as much"
            if as_much
            else f"none of {n} reference accounts shows as much"
        )
        return Evidence(
            family=self.detector.family,
            weight=self.detector.weight,
            result=Result(
                name=self.detector.name,
                version=self.detector.version,
                subject=name,
                null=self.detector.null,
                statistic=float(self.measured.statistic[row]),
                p_value=p,
                log10_e=log10_e,
                n=prompts,
                unit="distinct prompts" if self.detector.sees == "prompts" else "calls",
                effect=effect,
                method=method,
                because=(self.detector.words(effect, prompts), rank, self.detector.clears),
            ),
        )

    def ring(self, rows: IntArray, ring: Ring) -> Evidence:
        """The evidence about the members of a ring taken together.

        Honest companies pay for many keys with one card and ask alike, so members may depend on one another, but
        groups of more than ``ring.honest_group`` would have to be several companies. The product of the bets, each
        to the power 1 / honest_group, has expectation at most 1 if honest groups are no larger (Hölder) and
        independent given the reference; ``log10_allowance`` pays for the reference that they have in common.
        """
        p, n = self.ranks.p(rows, together=True)
        log10_e = tempered_product(log10_wealth(p, n) - log10_allowance(n), ring.honest_group)
        effect = float(np.median(self.measured.effect[rows]))
        method = self.ranks.method(n)
        words = self.detector.words(effect, int(np.median(self.measured.n[rows])))
        return Evidence(
            family=self.detector.family,
            weight=self.detector.weight,
            result=Result(
                name=self.detector.name,
                version=self.detector.version,
                subject=ring.ring_id,
                null=f"{self.detector.null}, and honest groups have at most {ring.honest_group} accounts",
                statistic=float(np.median(self.measured.statistic[rows])),
                p_value=p_from_log10(float(e_to_p(log10_e))),
                log10_e=log10_e,
                n=len(rows),
                unit="accounts",
                effect=effect,
                method=Conformal(reference=method.reference, n=n, conditional=f"chernoff(delta={DELTA!r})"),
                because=(
                    f"of {len(rows)} members the one in the middle: {words}",
                    f"half of them rank among the top {np.median(p):.2%} of {n} reference accounts",
                    self.detector.clears,
                ),
            ),
        )


def pooled(scored: Scored, ring: Ring, rows: Mapping[str, int], dealt: Dealt | None, looks: int = 1) -> Evidence:
    """The evidence about the members of a ring that was found by when they ask, or by what they ask.

    Found by when: given what kind of tenant its customers are and how much they send, they were then chosen without a
    look at what they ask. ``dealt`` says whom each of them is compared with; see ``comparable``, also for ``looks``.

    Without that they are taken to be one kind of tenant, which depend on one another as much as can be: there it is the
    mean of their e-values, which holds under any dependence and can't exceed what one account can show.
    """
    at = scored.known(np.array([rows[name] for name in ring.accounts if name in rows], dtype=np.int64))
    p, n = scored.ranks.p(at, together=True)
    if dealt is not None:
        log10_e, customers, against = dealt.log10_e(scored.measured.statistic)
        log10_e -= math.log10(looks)
        method = f"product over {customers} customers of bets on ranks among others of its kind that send as much"
        compared = f"{customers} of its customers were compared with others of their kind that send as much"
        compared += f", each with {against} of its own" if customers else ""
    else:
        log10_e = average(log10_wealth(p, n))
        method = f"mean of {len(at)} members' e-values from ranks among {n}"
        compared = f"half of them rank among the top {np.median(p):.2%} of {n} other accounts"
    measured, detector = scored.measured, scored.detector
    words = detector.words(float(np.median(measured.effect[at])), int(np.median(measured.n[at])))
    return Evidence(
        family=detector.family,
        weight=detector.weight,
        result=Result(
            name=detector.name,
            version=detector.version,
            subject=ring.ring_id,
            null=f"{detector.null}, whatever brought its members together",
            statistic=float(np.median(measured.statistic[at])),
            p_value=p_from_log10(float(e_to_p(log10_e))),
            log10_e=log10_e,
            n=len(at),
            unit="accounts",
            effect=float(np.median(measured.effect[at])),
            method=Exact(distribution=method),
            because=(f"of {len(at)} members the one in the middle: {words}", compared, detector.clears),
        ),
    )


def together(ring: Ring) -> Evidence:
    """The evidence that a ring is more than one honest group, from what its members share."""
    return evidence_of_ring(
        "together",
        "infrastructure",
        ring.ring_id,
        f"honest groups have at most {ring.honest_group} accounts and different groups share values by chance",
        ring.log10_p,
        n=len(ring.accounts),
        unit="accounts",
        effect=len(ring.accounts) / ring.honest_group,
        distribution="hypergeometric, counted in honest groups",
        because=ring.because,
    )


def accused(ring: Ring, scored: Sequence[Scored], rows: dict[str, int]) -> tuple[str, ...]:
    """The members whose own evidence, averaged over these detectors, points the same way as the ring's (e >= 1)."""
    members = [name for name in ring.accounts if name in rows]
    at = np.array([rows[name] for name in members], dtype=np.int64)
    if not at.size or not scored:
        return ()
    each = np.stack([s.log10_e(at) for s in scored])
    return tuple(name for column, name in enumerate(members) if average(each[:, column]) >= 0.0)
