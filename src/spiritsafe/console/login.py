"""Signing in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from spiritsafe.console.page import HEADERS, form_of, respond, same_site, session_of
from spiritsafe.console.session import COOKIE, LASTS

if TYPE_CHECKING:
    from starlette.requests import Request

    from spiritsafe.console.session import Sessions


async def login(request: Request) -> Response:
    """GET shows the form, POST signs in with the admin token and a name that will stand under decisions."""
    if request.method == "GET":
        if session_of(request) is not None:
            return RedirectResponse("/", 303, HEADERS)
        return respond(request, "login.html", {"wrong": False, "next": _inside(request.query_params.get("next", "/"))})
    form = await form_of(request)
    sessions: Sessions = request.app.state.sessions
    cookie = sessions.sign_in(form.get("token", ""), form.get("person", "")) if same_site(request) else None
    if cookie is None:
        return respond(request, "login.html", {"wrong": True, "next": _inside(form.get("next", "/"))}, status=403)
    response = RedirectResponse(_inside(form.get("next", "/")), 303, HEADERS)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, cookie, max_age=LASTS, httponly=True, samesite="strict", secure=secure)
    return response


async def logout(request: Request) -> Response:
    """Forget the cookie; harmless, so it asks for no token."""
    response = RedirectResponse("/login", 303, HEADERS)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _inside(path: str) -> str:
    """``path`` if it stays on this console, else the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"
