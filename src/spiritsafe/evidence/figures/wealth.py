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
    """One stepped line a subject from when it could first be judged, and the line to cross, which moves.

    Values under ``FLOOR`` are drawn at it, for a lost bet has no end.
    """
    frame = frame._replace(right=118 if not frame.narrow else 78)
    values = [e for wealth in affair.wealth for _, e in wealth.points]
    high = max([1.0, *(e for _, e in affair.line), *values]) * 1.08
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
    over = sum(_crosses(wealth, affair) for wealth in affair.wealth)
    return svg.picture(frame, f"Evidence against {len(drawn)} subjects over time; {over} cross the line.", parts)


def _crosses(wealth: Wealth, affair: Affair) -> bool:
    """Whether it ever was at or over the line of its time."""
    at = dict(affair.line)
    return any(e >= at.get(when, float("inf")) for when, e in wealth.points)


def _curve(wealth: Wealth, x: Scale, y: Scale) -> Svg:
    points: list[Point] = [(x(at), y(e)) for at, e in wealth.points]
    if points:
        points.append((x.end, points[-1][1]))
    last = wealth.points[-1][1] if wealth.points else 0.0
    title = svg.el("title", f"{wealth.name}: {last:.1f}")
    return svg.el("path", title, d=svg.line(svg.steps(points)), class_=f"wealth {wealth.group}")


def _line(affair: Affair, x: Scale, y: Scale, frame: Frame) -> list[Svg]:
    if not affair.line:
        return []
    points = [(x(at), y(e)) for at, e in affair.line]
    corners = svg.steps([*points, (x.end, points[-1][1])])
    words = affair.line_name if not frame.narrow else "the line"
    return [
        svg.el("path", d=svg.line(corners), class_="threshold"),
        svg.el("text", words, x=x.end - 6, y=corners[-1][1] - 7, text_anchor="end", class_="threshold-name"),
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
