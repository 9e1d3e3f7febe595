"""The console: a Starlette app that shows what the store and the record hold, behind the admin token."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from spiritsafe.console.account import account
from spiritsafe.console.accounts import accounts
from spiritsafe.console.cases import act as act_on_case
from spiritsafe.console.cases import case, cases
from spiritsafe.console.decisions import act as act_on_decision
from spiritsafe.console.decisions import decision, decisions
from spiritsafe.console.live import live
from spiritsafe.console.login import login, logout
from spiritsafe.console.overview import overview
from spiritsafe.console.page import change, show
from spiritsafe.console.pulse import Pulse
from spiritsafe.console.session import Sessions

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from spiritsafe.store import Store

ASSETS = {
    "console.css": ("text/css", "static/console.css"),
    "console.js": ("text/javascript", "static/console.js"),
    "htmx.js": ("text/javascript", "vendor/htmx/htmx.min.js"),
    "uplot.js": ("text/javascript", "vendor/uplot/uPlot.iife.min.js"),
    "uplot.css": ("text/css", "vendor/uplot/uPlot.min.css"),
}


def app(store: Store, data: Path, *, token: str) -> Starlette:
    """The console on an open ``store`` and the record in the folder ``data``.

    ``token`` signs people in; they give their name beside it, and it stands under what they decide.
    The console closes neither.
    """
    routes = [
        Route("/", show(overview)),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
        Route("/live", live),
        Route("/accounts", show(accounts)),
        Route("/accounts/{account_id}", show(account)),
        Route("/decisions", show(decisions)),
        Route("/decisions/{decision_id}", show(decision)),
        Route("/decisions/{decision_id}", change(act_on_decision), methods=["POST"]),
        Route("/cases", show(cases)),
        Route("/cases/{case_id}", show(case)),
        Route("/cases/{case_id}", change(act_on_case), methods=["POST"]),
        Route("/assets/{name}", asset),
    ]
    made = Starlette(routes=routes)
    made.state.store = store
    made.state.sessions = Sessions(token)
    made.state.pulse = Pulse(data)
    made.state.record = data / "record"
    return made


async def asset(request: Request) -> Response:
    """One of the few files that pages load; any other name is not there."""
    found = ASSETS.get(request.path_params["name"])
    if found is None:
        return Response("Not found.", 404)
    kind, path = found
    content = files("spiritsafe.console").joinpath(path).read_bytes()
    headers = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
    return Response(content, 200, headers, kind)
