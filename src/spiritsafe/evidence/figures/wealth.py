"""Each account's wealth against the line it would have to cross."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures.timeline import decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.evidence.svg import Frame, Point, Scale, Svg
    from spiritsafe.evidence.types import Affair, Wealth

FLOOR = -3.0
ORDER = {"honest": 0, "member": 1, "ring": 2}


def draw(affair: Affair, frame: Frame) -> Svg:
    """One stepped line a subject; values under ``FLOOR`` are drawn at it, for a lost bet has no end."""
    frame = frame._replace(right=118 if not frame.narrow else 78)
    values = [e for wealth in affair.wealth for _, e in wealth.points]
    high = max([affair.line * 1.15, *values]) * 1.04
    low = max(FLOOR, min([0.0, *values]) * 1.1)
    x, y = frame.x(0, affair.seconds), frame.y(low, high)
    marks = [(m, f"{m:g}") for m in svg.ticks(low, high, 5 if frame.narrow else 7)]
    parts: list[Svg] = [svg.y_axis(frame, y, marks, "evidence, log10 e")]
    drawn = sorted(affair.wealth, key=lambda wealth: ORDER[wealth.group])
    parts += [_curve(wealth, x, y) for wealth in drawn]
    parts += _line(affair, x, y, frame)
    parts += decisions(affair.rulings, x, frame)
    parts += _labels(drawn, x, y, frame)
    ticks = [(t, svg.clock(t)) for t in svg.clock_ticks(affair.seconds, 3 if frame.narrow else 8)]
    parts.append(svg.x_axis(frame, x, ticks))
    over = sum(1 for w in affair.wealth if max((e for _, e in w.points), default=low) >= affair.line)
    return svg.picture(frame, f"Evidence against {len(drawn)} subjects over time; {over} cross the line.", parts)


def _curve(wealth: Wealth, x: Scale, y: Scale) -> Svg:
    points: list[Point] = [(x(0), y(0)), *((x(at), y(e)) for at, e in wealth.points)]
    points.append((x.end, points[-1][1]))
    last = wealth.points[-1][1] if wealth.points else 0.0
    title = svg.el("title", f"{wealth.name}: {last:.1f}")
    return svg.el("path", title, d=svg.line(svg.steps(points)), class_=f"wealth {wealth.group}")


def _line(affair: Affair, x: Scale, y: Scale, frame: Frame) -> list[Svg]:
    at = y(affair.line)
    words = affair.line_name if not frame.narrow else "the line"
    return [
        svg.el("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="threshold"),
        svg.el("text", words, x=x.start + 6, y=at - 6, class_="threshold-name"),
    ]


def _labels(drawn: Sequence[Wealth], x: Scale, y: Scale, frame: Frame) -> list[Svg]:
    """Names at the right end: every ring, and the highest of the members and of the honest."""
    named = [wealth for wealth in drawn if wealth.group == "ring" and wealth.points]
    for group in ("member", "honest"):
        of_group = [wealth for wealth in drawn if wealth.group == group and wealth.points]
        if of_group:
            named.append(max(of_group, key=lambda wealth: wealth.points[-1][1]))
    ends = [y(wealth.points[-1][1]) for wealth in named]
    places = svg.spread(ends, 13, frame.top, frame.height - frame.bottom)
    prefix = {"ring": "", "member": "member ", "honest": "honest "}
    return [
        svg.el(
            "text",
            wealth.name if frame.narrow else prefix[wealth.group] + wealth.name,
            x=x.end + 6,
            y=at + 3.5,
            class_=f"name {wealth.group}",
        )
        for wealth, at in zip(named, places, strict=True)
    ]
