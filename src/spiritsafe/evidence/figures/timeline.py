"""Who asked how much over time: served requests stacked by kind upwards, refused ones hanging below."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from spiritsafe.evidence import svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.evidence.svg import Frame, Scale, Svg
    from spiritsafe.evidence.types import Affair, Ruling

BANDS = 30


def draw(affair: Affair, frame: Frame) -> Svg:
    """One band a kind and one hatched band for what was refused; a numbered mark a decision."""
    width = affair.seconds / BANDS
    order = sorted(affair.kinds, key=lambda kind: not kind.ring)
    served = {kind.name: _binned(affair, kind.name, "served") for kind in order}
    refused = [sum(_binned(affair, kind.name, "refused")[i] for kind in order) for i in range(BANDS)]
    most = max((sum(values[i] for values in served.values()) for i in range(BANDS)), default=1) or 1
    x = frame.x(0, affair.seconds)
    y = frame.y(-max(refused), most * 1.05)
    marks = [(m, str(abs(round(m)))) for m in svg.ticks(-max(refused), most, 4 if frame.narrow else 6)]
    parts: list[Svg] = [svg.y_axis(frame, y, marks, f"requests in {width:.0f} seconds")]
    floor = [0.0] * BANDS
    for kind in order:
        top = [low + count for low, count in zip(floor, served[kind.name], strict=True)]
        parts.append(_band(x, y, width, floor, top, kind.name, ring=kind.ring))
        floor = top
    if any(refused):
        down = [-float(count) for count in refused]
        path = svg.area(_corners(x, y, width, down), _corners(x, y, width, [0.0] * BANDS))
        parts.append(svg.el("path", svg.el("title", f"{sum(refused)} refused"), d=path, class_="refused band"))
    parts.append(svg.el("line", x1=x.start, x2=x.end, y1=y(0), y2=y(0), class_="axis"))
    parts += decisions(affair.rulings, x, frame)
    ticks = [(t, svg.clock(t)) for t in svg.clock_ticks(affair.seconds, 4 if frame.narrow else 9)]
    parts.append(svg.x_axis(frame, x, ticks))
    label = (
        f"Requests over {svg.clock(affair.seconds)} minutes, stacked by kind of account; refused ones below the line."
    )
    return svg.picture(frame, label, parts)


def decisions(rulings: Sequence[Ruling], x: Scale, frame: Frame) -> list[Svg]:
    """A numbered vertical mark for each decision, where it came into force."""
    marks = []
    places = svg.spread([x(r.confirmed or r.at) for r in rulings], 15, x.start + 7, x.end - 7)
    for number, (ruling, label_at) in enumerate(zip(rulings, places, strict=True), 1):
        at = x(ruling.confirmed or ruling.at)
        mark = [
            svg.el("title", f"{number}. {ruling.action} {ruling.subject} ({ruling.status})"),
            svg.el("line", x1=at, x2=at, y1=frame.top, y2=frame.height - frame.bottom),
            svg.el("circle", cx=label_at, cy=frame.top - 8, r=7.5),
            svg.el("text", str(number), x=label_at, y=frame.top - 4.5, text_anchor="middle"),
        ]
        marks.append(svg.group(mark, class_=f"decision {ruling.action}"))
    return marks


def _binned(affair: Affair, kind: str, outcome: str) -> list[int]:
    members = {party.party for party in affair.parties if party.kind == kind}
    width = affair.seconds / BANDS
    counts = Counter(
        min(BANDS - 1, int(asked.at / width))
        for asked in affair.asked
        if asked.party in members and asked.outcome == outcome
    )
    return [counts[i] for i in range(BANDS)]


def _corners(x: Scale, y: Scale, width: float, values: Sequence[float]) -> list[tuple[float, float]]:
    points = [(x(i * width), y(value)) for i, value in enumerate(values)]
    return svg.steps([*points, (x.end, points[-1][1])])


def _band(
    x: Scale, y: Scale, width: float, floor: Sequence[float], top: Sequence[float], kind: str, *, ring: bool
) -> Svg:
    path = svg.area(_corners(x, y, width, top), _corners(x, y, width, floor))
    count = round(sum(top) - sum(floor))
    return svg.el(
        "path", svg.el("title", f"{kind}: {count} served"), d=path, class_=f"band k-{'ring' if ring else kind}"
    )
