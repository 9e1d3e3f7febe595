"""Pictures as inline SVG: elements, scales, ticks and paths, and nothing else."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float]


class Svg(str):
    """Text that already is markup; anything else that is put into an element is escaped."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def el(tag: str, *children: str, **attributes: str | float | None) -> Svg:
    """One element. ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None leaves an attribute out.

    Numbers are written with two decimals at most: a hundredth of a pixel.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Svg) else escape(child, quote=False) for child in children)
    return Svg(f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>")


def group(children: Iterable[str], **attributes: str | float | None) -> Svg:
    """A ``g`` element around ``children``."""
    return el("g", *children, **attributes)


def _number(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"a picture can't place {value!r}")
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


class Scale(NamedTuple):
    """A straight map from ``low..high`` to ``start..end`` pixels; values outside are held at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        if self.high == self.low:
            return self.start
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


class Frame(NamedTuple):
    """The size of a picture and its margins, in pixels."""

    width: float
    height: float
    left: float = 44
    right: float = 16
    top: float = 26
    bottom: float = 34

    def x(self, low: float, high: float) -> Scale:
        """Left to right."""
        return Scale(low, high, self.left, self.width - self.right)

    def y(self, low: float, high: float) -> Scale:
        """Upwards."""
        return Scale(low, high, self.height - self.bottom, self.top)

    @property
    def narrow(self) -> bool:
        """Whether this is a phone's picture, with room for few words."""
        return self.width < 600


WIDE = Frame(960, 368, top=34)
NARROW = Frame(360, 308, left=36, right=10, top=36)


def picture(frame: Frame, label: str, children: Iterable[str]) -> Svg:
    """The whole picture; ``label`` says in a sentence what it shows, for those who can't see it."""
    size = f"0 0 {frame.width:g} {frame.height:g}"
    return el("svg", *children, viewBox=size, role="img", aria_label=label, class_="picture")


def ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    if high <= low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def clock_ticks(seconds: float, count: int) -> list[float]:
    """About ``count`` round times from 0 to ``seconds``: whole seconds, minutes or hours apart."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400)
    step = next((s for s in steps if seconds / s <= count), steps[-1])
    return [float(n * step) for n in range(int(seconds // step) + 1)]


def clock(seconds: float) -> str:
    """``95`` as ``1:35``."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def line(points: Sequence[Point]) -> str:
    """Path data through the points."""
    return "M" + "L".join(f"{_number(x)},{_number(y)}" for x, y in points) if points else ""


def steps(points: Sequence[Point]) -> list[Point]:
    """The corners of a line that holds each value until the next point."""
    corners: list[Point] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def area(upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """Path data of the closed surface between two lines over the same stretch."""
    return line([*upper, *reversed(lower)]) + "Z" if upper and lower else ""


def x_axis(frame: Frame, scale: Scale, marks: Iterable[tuple[float, str]], title: str = "") -> Svg:
    """The axis along the bottom: small strokes, words beneath, a title at its right end."""
    floor = frame.height - frame.bottom
    parts = [el("line", x1=scale.start, x2=scale.end, y1=floor, y2=floor, class_="axis")]
    for value, word in marks:
        at = scale(value)
        parts += [
            el("line", x1=at, x2=at, y1=floor, y2=floor + 4, class_="axis"),
            el("text", word, x=at, y=floor + 16, class_="tick", text_anchor="middle"),
        ]
    if title:
        parts.append(el("text", title, x=scale.end, y=floor + 30, class_="title", text_anchor="end"))
    return group(parts, class_="x-axis")


def y_axis(frame: Frame, scale: Scale, marks: Iterable[tuple[float, str]], title: str = "") -> Svg:
    """Level lines across the picture with their words at the left, and a title above."""
    parts = []
    for value, word in marks:
        at = scale(value)
        parts += [
            el("line", x1=frame.left, x2=frame.width - frame.right, y1=at, y2=at, class_="grid"),
            el("text", word, x=frame.left - 7, y=at + 3.5, class_="tick", text_anchor="end"),
        ]
    if title:
        parts.append(el("text", title, x=0, y=11, class_="title"))
    return group(parts, class_="y-axis")


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places for labels near ``wanted``, at least ``gap`` apart and within ``low..high`` where they fit.

    The order of the labels is kept. If they don't fit they start at ``low`` and run on.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed: list[float] = []
    for i in order:
        placed.append(max(wanted[i], placed[-1] + gap if placed else low))
    over = placed[-1] - high if placed else 0.0
    for n in range(len(placed) - 1, -1, -1):
        if over <= 0:
            break
        ceiling = high if n == len(placed) - 1 else placed[n + 1] - gap
        placed[n] = max(min(placed[n], ceiling), low + n * gap)
    result = [0.0] * len(wanted)
    for at, i in zip(placed, order, strict=True):
        result[i] = at
    return result
