"""Who is signed in: a cookie that carries a name and an end, sealed with a key that only this process has."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

COOKIE = "spiritsafe_console"
LASTS = 12 * 3600
TRIES = 5
"""Wrong tokens a minute before every further one is refused, right or wrong."""


class Session(NamedTuple):
    """A person at the console. ``csrf`` has to come back with everything that changes anything."""

    person: str
    csrf: str


class Sessions:
    """Signs people in by the admin token and knows them again by their cookie.

    The sealing key is drawn anew at each start, so a restart signs everybody out. ``clock`` is seconds
    since the epoch.
    """

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        if not token:
            raise ValueError("a console needs a token to sign in with")
        self._token = token.encode()
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._wrong: list[float] = []

    def sign_in(self, token: str, person: str) -> str | None:
        """The cookie's value for ``person``, or None when the token is wrong or too many were."""
        now = self._clock()
        self._wrong = [at for at in self._wrong if at > now - 60]
        right = hmac.compare_digest(token.encode(), self._token)
        if len(self._wrong) >= TRIES or not right or not person.strip():
            self._wrong.append(now)
            return None
        text = f"{int(now) + LASTS}|{secrets.token_hex(8)}|{person.strip()[:80]}"
        body = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        return f"{body}.{self._seal('session', body)}"

    def read(self, cookie: str | None) -> Session | None:
        """Whose cookie this is; None for one that is missing, altered or has run out."""
        body, _, seal = (cookie or "").partition(".")
        if not body or not hmac.compare_digest(seal.encode(), self._seal("session", body).encode()):
            return None
        ends, _, person = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode().split("|", 2)
        return Session(person, self._seal("csrf", body)) if int(ends) > self._clock() else None

    def _seal(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
