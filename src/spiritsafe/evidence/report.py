"""One self-contained page about an affair: no script, no outside resource, light, dark and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spiritsafe.errors import ResourceError
from spiritsafe.evidence import svg
from spiritsafe.evidence.figures import graph, harvest, timeline, wealth

if TYPE_CHECKING:
    from collections.abc import Callable

    from spiritsafe.evidence.svg import Frame, Svg
    from spiritsafe.evidence.types import Affair, Party

FIGURES: dict[str, Callable[[Affair, Frame], Svg]] = {
    "timeline": timeline.draw,
    "wealth": wealth.draw,
    "graph": graph.draw,
    "harvest": harvest.draw,
}


def render(affair: Affair) -> str:
    """The page as HTML text."""
    env = Environment(
        loader=PackageLoader("spiritsafe.evidence"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    env.filters["clock"] = svg.clock
    style, _, _ = env.loader.get_source(env, "report.css") if env.loader else ("", None, None)
    return env.get_template("report.html").render(
        affair=affair,
        style=Markup(style),  # noqa: S704 - our own file, read from the package
        figures={name: _both(draw, affair) for name, draw in FIGURES.items()},
        strokes=graph.strokes(affair),
        parties=sorted(affair.parties, key=_suspicion),
        names={party.party: party.name for party in affair.parties},
        kinds={kind.name: kind for kind in affair.kinds},
        got=len({one.place for one in affair.asked if one.place is not None and one.outcome == "served"}),
    )


def write(affair: Affair, path: Path) -> Path:
    """Render to ``path``. Raises ``ResourceError`` if it can't be written."""
    try:
        path.write_text(render(affair), encoding="utf-8")
    except OSError as error:
        raise ResourceError(
            f"the report can't be written ({error.strerror})",
            where=str(path),
            remedy="Choose another folder with --out.",
        ) from error
    return path


def _both(draw: Callable[[Affair, Frame], Svg], affair: Affair) -> Markup:
    """The picture twice, for wide and for narrow screens; the style sheet shows one of them."""
    wide, narrow = draw(affair, svg.WIDE), draw(affair, svg.NARROW)
    pair = svg.el("div", wide, class_="wide") + svg.el("div", narrow, class_="narrow")
    return Markup(pair)  # noqa: S704 - drawn by our own code, which escapes every text


def _suspicion(party: Party) -> tuple[bool, float, str]:
    return (not party.caught, -(party.log10_e if party.log10_e is not None else float("-inf")), party.name)
