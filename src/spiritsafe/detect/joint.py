"""Evidence about one account from at least two families at once: detectors combined first, and ranked once.

A rank among n accounts can win (n + 1) / H at most, and a mean of e-values divides that by the number of detectors and
again by the number of families. What is combined before it is ranked is divided by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.middles import is_known
from spiritsafe.detect.wealth import log10_wealth
from spiritsafe.stats.conformal import as_high
from spiritsafe.stats.result import JOINTLY, Conformal, Evidence, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class View:
    """One detector's statistics of the accounts looked at [m] and of those they are ranked among [n], in one order for
    all detectors. ``others`` is None where the accounts are ranked among themselves.
    """

    family: str
    statistic: FloatArray
    others: FloatArray | None


@dataclass(frozen=True, eq=False)
class Joint:
    """``p`` [m] is a conformal p-value of the null "at most one family of this account is unlike honest tenants", NaN
    for accounts of which fewer than two families say anything; ``chance`` [m, families] that of each family alone.
    """

    families: tuple[str, ...]
    p: FloatArray
    chance: FloatArray
    n: int
    reference: str

    def log10_e(self) -> FloatArray:
        """The wealth of the bet against each account, 0 where there is none."""
        known = ~np.isnan(self.p)
        return np.where(known, log10_wealth(np.where(known, self.p, 1.0), self.n), 0.0)

    def evidence(self, row: int, name: str) -> Evidence | None:
        """About one account."""
        p = float(self.p[row])
        if np.isnan(p):
            return None
        order = np.argsort(self.chance[row], kind="stable")
        said = ", ".join(f"{self.families[at]} 1 in {1.0 / self.chance[row, at]:,.0f}" for at in order.tolist())
        return Evidence(
            family=JOINTLY,
            result=Result(
                name=JOINTLY,
                version=1,
                subject=name,
                null="at most one family of this account is unlike honest tenants",
                statistic=-float(np.log10(p)),
                p_value=p,
                log10_e=float(log10_wealth(np.array([p]), self.n)[0]),
                n=len(self.families),
                unit="families",
                effect=float((self.chance[row] <= 0.05).sum()),
                method=Conformal(reference=self.reference, n=self.n),
                because=(f"whichever family is left out, the others together are 1 in {1.0 / p:,.0f} ({said})",),
            ),
        )


def joint(views: Sequence[View], reference: str) -> Joint | None:
    """What all detectors say of each account together; None if they are of fewer than two families.

    Within a family, p ** -1/2 of the detectors' p-values are added and the sums are ranked: half way between Fisher's
    sum, which hears many whispers, and the least p-value, which hears one shout. For each family that could be the one
    that is unlike, the others' are added likewise and ranked, and the largest of those p-values holds. Valid whatever
    the dependence between detectors and families: if all but one family of an account are exchangeable with the
    others', the p-value that leaves that one out is conformal, and the largest is no smaller. An unknown statistic adds
    nothing, so an account of which less is known looks more ordinary.

    A reference account's own p-values are taken as if the account looked at stood below it: a little too small, which
    makes the reference look stranger, and the account less.
    """
    families = tuple(dict.fromkeys(view.family for view in views))
    alone = bool(views) and views[0].others is None
    if len(families) < 2 or len(views[0].statistic) < (2 if alone else 1):
        return None
    sums = [_family([view for view in views if view.family == family]) for family in families]
    mine = np.stack([each for each, _, _ in sums], axis=1)
    others = np.stack([each for _, each, _ in sums], axis=1)
    known = np.stack([each for _, _, each in sums], axis=1)
    chance = np.stack([_p(mine[:, k], others[:, k], alone) for k in range(len(families))], axis=1)
    loud = _loud(chance)
    of_others = np.stack([_loud(_own(others[:, k], alone)) for k in range(len(families))], axis=1)
    left = [[k for k in range(len(families)) if k != out] for out in range(len(families))]
    each = np.stack([_p(loud[:, keep].sum(axis=1), of_others[:, keep].sum(axis=1), alone) for keep in left])
    p = np.where(known.sum(axis=1) >= 2, each.max(axis=0), np.nan)
    return Joint(families, p, chance, len(others) - (1 if alone else 0), reference)


def _family(views: Sequence[View]) -> tuple[FloatArray, FloatArray, BoolArray]:
    """The sums of the accounts and of the others, and which accounts any detector says anything of."""
    alone = views[0].others is None
    held = [view.statistic if view.others is None else view.others for view in views]
    mine, others = np.zeros(len(views[0].statistic)), np.zeros(len(held[0]))
    known = np.zeros(len(mine), dtype=bool)
    for view, ranked in zip(views, held, strict=True):
        there, here = is_known(ranked), is_known(view.statistic)
        known |= here
        mine[here] += _loud(_p(view.statistic[here], ranked[there], alone))
        others[there] += _loud(_own(ranked[there], alone))
    return mine, others, known


def _loud(p: FloatArray) -> FloatArray:
    """How much a p-value says: 0 for 1."""
    return np.asarray(p**-0.5 - 1.0)


def _p(statistic: FloatArray, others: FloatArray, alone: bool) -> FloatArray:
    """Conformal p-values among others, or, ``alone``, among all of which these are."""
    high = as_high(np.sort(others), statistic)
    found = high / max(len(others), 1) if alone else (1.0 + high) / (len(others) + 1.0)
    return np.clip(found, 1e-12, 1.0)


def _own(statistic: FloatArray, alone: bool) -> FloatArray:
    """The p-values of the others themselves."""
    return np.asarray(as_high(np.sort(statistic), statistic) / (len(statistic) + (0.0 if alone else 1.0)))
