"""What every page has in common: the templates, the safe headers, the signed-in person, forms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from spiritsafe import __version__
from spiritsafe.console.session import COOKIE, Session
from spiritsafe.errors import SpiritsafeError

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from spiritsafe.console.session import Sessions
    from spiritsafe.store import Store

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
FORM_LIMIT = 64 * 1024

Handler = Callable[["Request"], Awaitable[Response]]
Context = dict[str, object]


def _ago(moment: datetime) -> str:
    """``3 min ago``, for people; the exact time stands in the element's title."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {word} ago"
    return f"{int(seconds)} s ago"


def environment() -> Environment:
    """The console's templates."""
    env = Environment(
        loader=PackageLoader("spiritsafe.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["ago"] = _ago
    env.filters["exact"] = lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    env.filters["words"] = lambda text: str(text).replace("_", " ")
    env.globals["version"] = __version__
    return env


TEMPLATES = environment()


def store_of(request: Request) -> Store:
    """The store that the console was opened on."""
    store: Store = request.app.state.store
    return store


def record_of(request: Request) -> Path:
    """The folder of the record that the console was opened on."""
    folder: Path = request.app.state.record
    return folder


def session_of(request: Request) -> Session | None:
    """Who is signed in, if anyone."""
    sessions: Sessions = request.app.state.sessions
    return sessions.read(request.cookies.get(COOKIE))


def respond(request: Request, template: str, context: Context, status: int = 200) -> HTMLResponse:
    """The page, with the signed-in person and the path for the navigation beside ``context``."""
    session = session_of(request)
    pending = len(store_of(request).decisions(status="pending")) if session else 0
    text = TEMPLATES.get_template(template).render(
        session=session, path=request.url.path, pending=pending, error=None, **context
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def failure(request: Request, error: SpiritsafeError, status: int = 400) -> HTMLResponse:
    """The page that says what went wrong and what to do about it."""
    text = TEMPLATES.get_template("failure.html").render(
        session=session_of(request), path=request.url.path, pending=0, error=error
    )
    return HTMLResponse(text, status_code=status, headers=HEADERS)


def show(read: Callable[[Request], tuple[str, Context]]) -> Handler:
    """A handler of GET from a function that returns a template and its context; signed-in people only.

    ``read`` runs in a thread, for the store waits on a database. What the store has not is 404.
    """

    async def handler(request: Request) -> Response:
        if session_of(request) is None:
            return RedirectResponse(f"/login?next={request.url.path}", 303, HEADERS)

        def work() -> Response:
            try:
                template, context = read(request)
            except SpiritsafeError as error:
                return failure(request, error, 404 if error.code == "usage" else 503)
            return respond(request, template, context)

        return await run_in_threadpool(work)

    return handler


def change(act: Callable[[Request, Session, dict[str, str]], str]) -> Handler:
    """A handler of POST from a function that does one thing and returns where to go next.

    Refuses whoever is not signed in, comes from another site or lacks the session's own token.
    """

    async def handler(request: Request) -> Response:
        session = session_of(request)
        if session is None:
            return RedirectResponse("/login", 303, HEADERS)
        form = await form_of(request)
        if not same_site(request) or not compare_digest(form.get("csrf", "").encode(), session.csrf.encode()):
            return Response("This form is not from this console.", 403, HEADERS, "text/plain")

        def work() -> Response:
            try:
                return RedirectResponse(act(request, session, form), 303, HEADERS)
            except SpiritsafeError as error:
                return failure(request, error)

        return await run_in_threadpool(work)

    return handler


def same_site(request: Request) -> bool:
    """Whether the browser says that the request came from this very host (older ones say nothing)."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    return origin is None or origin.split("://", 1)[-1] == request.headers.get("host")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a URL-encoded form; the last of a name counts, and what is over the limit is cut off."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_LIMIT:
            break
    return dict(parse_qsl(body[:FORM_LIMIT].decode("utf-8", "replace"), keep_blank_values=True))
