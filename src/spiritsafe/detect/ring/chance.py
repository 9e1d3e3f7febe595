"""Whether what the members of a ring have in common could be one honest group, or several that met by chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.stats.exact import hypergeometric_upper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import LinkKind


class Meeting(NamedTuple):
    """Of ``before`` accounts that share all earlier values, ``both`` also share one of this kind.

    ``size`` accounts of the whole log use it; ``values`` is how many values of the kind several accounts use.
    """

    kind: LinkKind
    both: int
    before: int
    size: int
    values: int


def log10_chance(core: Sequence[Meeting], accounts: int, group: int) -> float:
    """log10 of the chance of such a ring if honest groups have at most ``group`` accounts each, among ``accounts``.

    One group may share as many values as it likes, that is no coincidence at all. But every further group that
    shares the first value would have to fall upon the second, third and fourth by chance. So groups are counted
    and not accounts, as few as the accounts fit in, the first is free, and so is the first kind. Given how many use
    each value, the number that uses both is hypergeometric if kinds are independent between groups. The values
    were picked because they look alike, so every choice that could have been made counts (weighted Bonferroni:
    each value of a kind, or none of it).
    """
    if len(core) < 2:
        return 0.0
    total = 0.0
    for step in core[1:]:
        groups = -(-step.both // group)
        blocks = max(accounts // group, groups)
        # Whoever uses a value without being a member is taken for a group of its own: that makes meeting easier.
        drawn, marked = (min(blocks, groups + size - step.both) for size in (step.before, step.size))
        if groups > 1:
            log10_p = hypergeometric_upper(groups - 1, blocks - 1, drawn - 1, marked - 1)
            total += min(0.0, log10_p + math.log10(step.values + 1))
    tried = sum(step.values for step in core)
    return min(0.0, total + math.log10(max(tried, 1)) + len(core) * math.log10(2.0)) if total else 0.0


def explain(core: Sequence[Meeting], group: int) -> tuple[str, ...]:
    """What ``log10_chance`` rests on, as a fact that a person can check."""
    if len(core) < 2:
        return ()
    last = core[-1].both if core[-1].both > group else core[1].both
    kinds = ", ".join(step.kind for step in core if step.both >= last)
    if last <= group:
        return (f"{last} accounts share {kinds}: no more than the {group} that an honest group may have",)
    groups = -(-last // group)
    limit = f"honest groups have at most {group}, so {groups} of them would have met by chance"
    return (f"{last} accounts share {kinds}; {limit}",)
