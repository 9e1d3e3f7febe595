"""What the ring got and what it was refused: the share of its corpus, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures.timeline import decisions

if TYPE_CHECKING:
    from spiritsafe.evidence.svg import Frame, Point, Scale, Svg
    from spiritsafe.evidence.types import Affair


def got(affair: Affair) -> list[tuple[float, int]]:
    """How many tasks of the corpus had been answered by each time, as (seconds, tasks)."""
    return _count(affair, {"served"})


def wanted(affair: Affair) -> list[tuple[float, int]]:
    """How many tasks of the corpus had been asked for by each time, answered or not."""
    return _count(affair, {"served", "refused", "failed"})


def draw(affair: Affair, frame: Frame) -> Svg:
    """The surface of what was answered, hatched above it what was asked for in vain."""
    frame = frame._replace(right=118 if not frame.narrow else 98)
    have, sought = got(affair), wanted(affair)
    most = max(1, sought[-1][1] if sought else 1)
    x, y = frame.x(0, affair.seconds), frame.y(0, most * 1.08)
    marks = [(m, f"{m:.0f}") for m in svg.ticks(0, most, 4 if frame.narrow else 5)]
    upper, lower = _corners(sought, x, y), _corners(have, x, y)
    base: list[Point] = [(x.start, y(0)), (x.end, y(0))]
    parts: list[Svg] = [
        svg.y_axis(frame, y, marks, f"tasks of {affair.corpus}"),
        svg.el("path", d=svg.area(upper, lower), class_="refused band"),
        svg.el("path", d=svg.area(lower, base), class_="got band"),
        svg.el("path", d=svg.line(upper), class_="sought line"),
        svg.el("path", d=svg.line(lower), class_="got line"),
        *decisions(affair.rulings, x, frame),
        *_ends(affair, have, sought, x, y, frame),
        svg.x_axis(frame, x, [(t, svg.clock(t)) for t in svg.clock_ticks(affair.seconds, 3 if frame.narrow else 8)]),
    ]
    taken, asked = (have[-1][1] if have else 0), (sought[-1][1] if sought else 0)
    label = f"The ring asked for {asked} of {affair.corpus} tasks and was answered {taken}."
    return svg.picture(frame, label, parts)


def _count(affair: Affair, outcomes: set[str]) -> list[tuple[float, int]]:
    seen: set[int] = set()
    points = []
    for asked in sorted(affair.asked, key=lambda one: one.at):
        if asked.place is not None and asked.outcome in outcomes and asked.place not in seen:
            seen.add(asked.place)
            points.append((asked.at, len(seen)))
    return points


def _corners(points: list[tuple[float, int]], x: Scale, y: Scale) -> list[Point]:
    pixels: list[Point] = [(x.start, y(0)), *((x(at), y(count)) for at, count in points)]
    return svg.steps([*pixels, (x.end, pixels[-1][1])])


def _ends(
    affair: Affair, have: list[tuple[float, int]], sought: list[tuple[float, int]], x: Scale, y: Scale, frame: Frame
) -> list[Svg]:
    taken, asked = (have[-1][1] if have else 0), (sought[-1][1] if sought else 0)
    low, high = svg.spread([y(asked), y(taken)], 28, frame.top, frame.height - frame.bottom - 12)
    share = 100 * taken / affair.corpus if affair.corpus else 0.0
    words = [("asked for", low, asked, "sought"), ("answered", high, taken, "got")]
    parts = []
    for word, at, count, style in words:
        parts.append(svg.el("text", f"{count} {word}", x=x.end + 6, y=at + 3.5, class_=f"name {style}"))
    parts.append(svg.el("text", f"{share:.0f}% of all", x=x.end + 6, y=high + 16, class_="tick"))
    return parts
