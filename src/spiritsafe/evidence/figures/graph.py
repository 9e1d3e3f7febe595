"""The ring as a graph: accounts as dots, what they share as lines, each kind of link with its own stroke."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures.layout import hull, packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spiritsafe.evidence.svg import Frame, Svg
    from spiritsafe.evidence.types import Affair, Party

STROKES = 4


def strokes(affair: Affair) -> dict[str, int]:
    """The number of each kind of link's stroke, for the picture and its legend alike."""
    return {kind: number % STROKES for number, kind in enumerate(sorted({link.kind for link in affair.links}))}


def draw(affair: Affair, frame: Frame) -> Svg:
    """Linked accounts spread by springs, those without a link in a row beneath; a ring found is ringed round."""
    linked = {end for link in affair.links for end in (link.one, link.other)}
    shown = [party for party in affair.parties if party.party in linked]
    alone = [party for party in affair.parties if party.party not in linked]
    index = {party.party: i for i, party in enumerate(shown)}
    pairs = sorted({(index[link.one], index[link.other]) for link in affair.links})
    frame = frame._replace(height=frame.height + 110) if frame.narrow else frame
    columns = max(1, int((frame.width - 40) // 22))
    rows = -(-len(alone) // columns)
    bottom = 22 + rows * 20 if alone else 12
    box = frame._replace(left=46, right=46, top=28, bottom=bottom + 26)
    inner = box.width - box.left - box.right, box.height - box.top - box.bottom
    at = packed(len(shown), pairs, *inner, gap=64) + np.array([box.left, box.top])
    parts: list[Svg] = [_ringed(at[[index[m] for m in ring if m in index]]) for ring in affair.rings]
    parts += _edges(affair, index, at)
    parts += [_node(party, float(px), float(py), frame) for party, (px, py) in zip(shown, at, strict=True)]
    if alone:
        parts += _row(alone, frame, columns, rows)
    label = f"{len(shown)} accounts that share something, {len(affair.links)} links; {len(alone)} share nothing."
    return svg.picture(frame, label, parts)


def _ringed(points: NDArray[np.float64]) -> Svg:
    if not len(points):
        return svg.Svg("")
    corners = hull(points)
    path = svg.line(corners) + "Z" if len(corners) > 1 else svg.line([*corners, (corners[0][0] + 0.1, corners[0][1])])
    return svg.el("path", d=path, class_="ringed")


def _edges(affair: Affair, index: dict[str, int], at: NDArray[np.float64]) -> list[Svg]:
    """Links of one pair run side by side, so that two kinds between the same accounts are both seen."""
    numbers = strokes(affair)
    lines = []
    beside: dict[tuple[int, int], int] = {}
    for link in affair.links:
        a, b = sorted((index[link.one], index[link.other]))
        nth = beside[(a, b)] = beside.get((a, b), -1) + 1
        along = at[b] - at[a]
        across = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-9) * 3.2 * (-1) ** nth * ((nth + 1) // 2)
        (x1, y1), (x2, y2) = at[a] + across, at[b] + across
        title = svg.el("title", f"{link.kind}: log10 e {link.log10_e:.1f}")
        lines.append(
            svg.el(
                "line", title, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2),
                class_=f"link l-{numbers[link.kind]}",
            )
        )  # fmt: skip
    return lines


def _node(party: Party, x: float, y: float, frame: Frame) -> Svg:
    parts = [svg.el("title", f"{party.name}: {party.kind}"), svg.el("circle", cx=x, cy=y, r=6.5)]
    if not frame.narrow:
        parts.append(svg.el("text", party.name, x=x, y=y - 10, text_anchor="middle", class_="name"))
    return svg.group(parts, class_=f"node k-{party.kind}" + (" caught" if party.caught else ""))


def _row(alone: list[Party], frame: Frame, columns: int, rows: int) -> list[Svg]:
    top = frame.height - rows * 20 - 4
    parts = [svg.el("text", f"{len(alone)} accounts share nothing unusual with anyone", x=20, y=top, class_="title")]
    for i, party in enumerate(alone):
        x, y = 27 + i % columns * 22, top + 14 + i // columns * 20
        title = svg.el("title", f"{party.name}: {party.kind}")
        style = f"node k-{party.kind}" + (" caught" if party.caught else "")
        parts.append(svg.group([title, svg.el("circle", cx=x, cy=y, r=5.5)], class_=style))
    return parts
