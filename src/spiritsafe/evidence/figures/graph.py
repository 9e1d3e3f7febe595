"""The ring as a graph: accounts as dots, what they share as small diamonds, each kind with its own stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures.layout import hull, packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.evidence.svg import Frame, Svg
    from spiritsafe.evidence.types import Affair, Link, Party

STROKES = 4
PITCH = 22, 20
"""Pixels between the dots of those who share nothing, across and down."""


def strokes(affair: Affair) -> dict[str, int]:
    """The number of each kind of link's stroke, for the picture and its legend alike."""
    return {kind: number % STROKES for number, kind in enumerate(sorted({link.kind for link in affair.links}))}


def draw(affair: Affair, frame: Frame) -> Svg:
    """Linked accounts spread by springs, those without a link in a row beneath; a ring found is ringed round."""
    frame = frame._replace(height=frame.height + 110 if frame.narrow else frame.height)
    linked = {account for link in affair.links for account in link.accounts}
    shown = [party for party in affair.parties if party.party in linked]
    alone = [party for party in affair.parties if party.party not in linked]
    columns = max(1, int((frame.width - 40) // PITCH[0]))
    rows = -(-len(alone) // columns)
    box = frame._replace(left=46, right=46, top=28, bottom=38 + (rows * PITCH[1] + 10 if alone else 0))
    index = {party.party: i for i, party in enumerate(shown)}
    at = _places(affair.links, index, box)
    parts: list[Svg] = [_ringed(at[[index[m] for m in ring if m in index]]) for ring in affair.rings]
    parts += _links(affair, index, at)
    parts += [_node(party, float(x), float(y), frame) for party, (x, y) in zip(shown, at, strict=False)]
    if alone:
        parts += _row(alone, frame, columns, rows)
    label = f"{len(shown)} accounts that share {len(affair.links)} things; {len(alone)} share nothing."
    return svg.picture(frame, label, parts)


def _places(links: tuple[Link, ...], index: dict[str, int], box: Frame) -> NDArray[np.float64]:
    """Pixels of the accounts and, after them, of the things that they share."""
    ties = [(index[a], len(index) + i) for i, link in enumerate(links) for a in link.accounts]
    width, height = box.width - box.left - box.right, box.height - box.top - box.bottom
    corner = np.array([box.left, box.top], dtype=np.float64)
    return np.asarray(
        packed(len(index) + len(links), ties, width, height, gap=56 if box.narrow else 96) + corner, dtype=np.float64
    )


def _ringed(points: NDArray[np.float64]) -> Svg:
    corners = hull(points) if len(points) else []
    if not corners:
        return svg.Svg("")
    closed = corners if len(corners) > 1 else [*corners, (corners[0][0] + 0.1, corners[0][1])]
    return svg.el("path", d=svg.line(closed) + "Z", class_="ringed")


def _links(affair: Affair, index: dict[str, int], at: NDArray[np.float64]) -> list[Svg]:
    numbers = strokes(affair)
    lines, marks = [], []
    for i, link in enumerate(affair.links):
        style = f"l-{numbers[link.kind]}"
        hx, hy = (float(v) for v in at[len(index) + i])
        for account in link.accounts:
            x, y = (float(v) for v in at[index[account]])
            lines.append(svg.el("line", x1=x, y1=y, x2=hx, y2=hy, class_=f"link {style}"))
        title = svg.el("title", f"same {link.kind}: {len(link.accounts)} accounts")
        corners = svg.line([(hx - 5, hy), (hx, hy - 5), (hx + 5, hy), (hx, hy + 5)]) + "Z"
        marks.append(svg.group([title, svg.el("path", d=corners)], class_=f"shared {style}"))
    return lines + marks


def _node(party: Party, x: float, y: float, frame: Frame) -> Svg:
    parts = [svg.el("title", f"{party.name}: {party.kind}"), svg.el("circle", cx=x, cy=y, r=6.5)]
    if not frame.narrow:
        parts.append(svg.el("text", party.name, x=x, y=y - 11, text_anchor="middle", class_="name"))
    return svg.group(parts, class_=f"node k-{party.kind}" + (" caught" if party.caught else ""))


def _row(alone: list[Party], frame: Frame, columns: int, rows: int) -> list[Svg]:
    top = frame.height - rows * PITCH[1] - 4
    parts = [svg.el("text", f"{len(alone)} accounts share nothing with anyone", x=20, y=top, class_="title")]
    for i, party in enumerate(alone):
        x, y = 27 + i % columns * PITCH[0], top + 14 + i // columns * PITCH[1]
        title = svg.el("title", f"{party.name}: {party.kind}")
        style = f"node k-{party.kind}" + (" caught" if party.caught else "")
        parts.append(svg.group([title, svg.el("circle", cx=x, cy=y, r=5.5)], class_=style))
    return parts
