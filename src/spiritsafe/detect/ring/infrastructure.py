"""Who asks together: accounts that share payment, place, client or system prompt by more than chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.detect.ring.chance import explain, log10_chance
from spiritsafe.detect.ring.draft import Draft
from spiritsafe.detect.ring.manner import manner
from spiritsafe.detect.ring.pairs import LEAST_MEMBERS, paired
from spiritsafe.detect.ring.shared import JOINS, SharedValues
from spiritsafe.detect.ring.woven import woven
from spiritsafe.detect.types import Ring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.types import Basis, Link, LinkKind, LinkTable

LEAST_GROUP = 5
"""What an honest company may hold where nothing is known of companies."""

_HONEST_QUANTILE = 0.95
_SAME = 0.9
_STRANGERS: tuple[tuple[LinkKind, ...], ...] = (("place",), ("system",))


class Infrastructure:
    """Links by lift over the base rate; rings by two independent kinds of link that coincide beyond chance.

    No cap on how many accounts a value may have: a popular value has no lift, and that alone removes it. A client
    program links nobody by itself, a handful of them serve everyone; it can confirm another link.
    """

    name = "infrastructure"
    version = 1
    basis: Basis = "shared"

    def links(self, table: LinkTable) -> list[Link]:
        """One link a value that several accounts share and few others would share by chance."""
        return list(table.once(SharedValues).links().values())

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        """Rings bound by two kinds of link, then candidates bound by one; no link serves two of them."""
        drafts = self._drafts(links, table)
        number = {name: at for at, name in enumerate(table.accounts)}
        return [_ring(draft, table, number, _block(draft, drafts, honest_group)) for draft in drafts]

    def honest_group(self, table: LinkTable, quantile: float) -> int | None:
        """How many accounts groups have that pay with one card or share two kinds of link; None if there are none."""
        return honest_group(self._drafts(self.links(table), table), quantile)

    def _drafts(self, links: Sequence[Link], table: LinkTable) -> list[Draft]:
        shared = table.once(SharedValues)
        known = shared.links()
        drafts = _widest(paired(shared, known), woven(shared, known))
        taken = {link.value for draft in drafts for link in draft.links}
        drafts += [Draft(link.accounts, (link.kind,), (link,)) for link in links if link.value not in taken]
        return [draft for draft in drafts if len(draft.accounts) >= LEAST_MEMBERS]


def _widest(pairs: list[Draft], weaves: list[Draft]) -> list[Draft]:
    """Where both see the same accounts, what they all share says more; where a weave sees more of them, the weave."""
    values = {id(draft): {link.value for link in draft.links} for draft in (*pairs, *weaves)}
    for weave in weaves:
        inside = [pair for pair in pairs if values[id(pair)] & values[id(weave)]]
        if max((len(pair.accounts) for pair in inside), default=0) < _SAME * len(weave.accounts):
            pairs = [pair for pair in pairs if pair not in inside] + [weave]
    return pairs


def honest_group(drafts: Sequence[Draft], quantile: float) -> int | None:
    """The ``quantile`` of the sizes of groups; those that share a network or a system prompt alone may be strangers."""
    sizes = [len(draft.accounts) for draft in drafts if draft.kinds not in _STRANGERS]
    return int(np.quantile(sizes, quantile, method="higher")) if sizes else None


def _block(draft: Draft, drafts: Sequence[Draft], told: int | None) -> int:
    """How many accounts may honestly belong together: those of one company, or all who happen to share a network.

    Unless it is ``told``, the size of companies is read off the other groups of the log.
    """
    if draft.kinds in _STRANGERS:
        return len(draft.accounts)
    others = [other for other in drafts if other is not draft]
    return told or max(LEAST_GROUP, honest_group(others, _HONEST_QUANTILE) or 0)


def _ring(draft: Draft, table: LinkTable, number: dict[str, int], group: int) -> Ring:
    anchor = max(draft.links, key=lambda link: (link.kind in JOINS, len(link.accounts), link.value))
    largest = {link.kind: link for link in sorted(draft.links, key=lambda link: len(link.accounts))}
    because = [f"{len(link.accounts)} accounts share one {link.kind}" for link in largest.values()]
    ring_id = f"ring-{anchor.value}"
    members = np.array([number[name] for name in draft.accounts], dtype=np.int64)
    return Ring(
        ring_id=ring_id,
        accounts=draft.accounts,
        kinds=draft.kinds,
        links=draft.links,
        log10_p=log10_chance(draft.core, len(table.accounts), group),
        honest_group=group,
        because=(*because, *explain(draft.core, group)),
        evidence=manner(ring_id, members, None, table) if len(draft.kinds) > 1 else (),
    )
