"""Whether what the members of a ring have in common could be one honest group, or several that met by chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.stats.exact import hypergeometric_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import LinkKind


class Meeting(NamedTuple):
    """Of ``before`` accounts that share all earlier values, ``both`` also share one (or a set of values) of this kind.

    ``size`` accounts of the whole log use it; ``log10_choices`` is how many such picks there were.
    """

    kind: LinkKind
    both: int
    before: int
    size: int
    log10_choices: float


def log10_chance(core: Sequence[Meeting], accounts: int, group: int) -> float:
    """log10 of the chance of such a ring if honest groups have at most ``group`` accounts each, among ``accounts``.

    One group may share as many values as it likes, that is no coincidence at all. But every further group that
    shares the first value would have to fall upon the second, third and fourth by chance. So groups are counted
    and not accounts, as few as the accounts fit in, the first is free, and so is the first kind. Given how many use
    each value, the number that uses both is hypergeometric if kinds are independent between groups. The values
    were picked because they look alike, so every pick that could have been made counts (weighted Bonferroni: any
    value of a kind, or none of it).
    """
    total = 0.0
    for step in core[1:]:
        groups = -(-step.both // group)
        blocks = max(accounts // group, groups)
        # Whoever uses a value without being a member is taken for a group of its own: that makes meeting easier.
        drawn, marked = (min(blocks, groups + size - step.both) for size in (step.before, step.size))
        # The first group is given. Where nearly all groups use either value, so many meet of necessity.
        met = groups - 1
        if met > max(0, drawn + marked - 1 - blocks):
            log10_p = hypergeometric_upper(met, blocks - 1, drawn - 1, marked - 1)
            total += min(0.0, log10_p + step.log10_choices)
    picked_first = core[0].log10_choices + len(core) * math.log10(2.0) if core else 0.0
    return min(0.0, total + picked_first)


def explain(core: Sequence[Meeting], group: int) -> tuple[str, ...]:
    """What ``log10_chance`` rests on, as a fact that a person can check."""
    if len(core) < 2:
        return ()
    least = core[-1].both if core[-1].both > group else core[1].both
    kinds = ", ".join(step.kind for step in core if step.both >= least)
    if least <= group:
        return (f"{least} accounts share {kinds}: no more than the {group} that an honest group may have",)
    limit = f"honest groups have at most {group}, so {-(-least // group)} of them would have met by chance"
    return (f"{least} accounts share {kinds}; {limit}",)
