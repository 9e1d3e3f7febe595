"""One request on its way through the gateway, from its first header to its record."""

from __future__ import annotations

import itertools
import os
import time
from datetime import UTC, datetime

from spiritsafe.gateway.enforce.gate import Permit, RawHeaders
from spiritsafe.gateway.enforce.roster import Seat
from spiritsafe.gateway.types import Scope
from spiritsafe.gateway.wire.types import Answer, Ask, Dialect


class Call:
    """What is known of a request so far. ``began`` is monotonic, ``time`` the time of day it came in.

    ``hearing`` is the dialect the upstream answers in; it differs from the spoken one where requests are
    translated. ``recorded`` is set once its exchange was handed to the log, whatever became of it.
    """

    __slots__ = (
        "answer",
        "ask",
        "began",
        "dialect",
        "headers",
        "hearing",
        "id",
        "mark_id",
        "permit",
        "reached",
        "recorded",
        "scope",
        "seat",
        "started",
        "time",
        "tokens",
    )

    def __init__(self, dialect: Dialect, scope: Scope) -> None:
        self.id = new_exchange_id()
        self.time = datetime.now(UTC)
        self.began = time.monotonic()
        self.scope = scope
        self.dialect = dialect
        self.hearing = dialect
        self.headers: RawHeaders = dict(scope["headers"])
        self.ask: Ask | None = None
        self.answer = Answer()
        self.seat: Seat | None = None
        self.permit: Permit | None = None
        self.mark_id: str | None = None
        """The mark that the model server says its answer carries."""
        self.reached = False
        """Whether the request was sent to an upstream."""
        self.recorded = False
        self.tokens: int | None = None
        """What its exchange counts for; ``None`` for one that was refused or failed."""
        self.started = False
        """Whether the answer's head has left."""

    def origin(self, public_url: str | None) -> str:
        """How the client reaches this gateway, for links."""
        if public_url is not None:
            return public_url.rstrip("/")
        host = self.headers.get(b"host", b"localhost").decode("latin-1")
        return f"{self.scope.get('scheme', 'http')}://{host}"


_PROCESS = os.urandom(4).hex()
_count = itertools.count()


def new_exchange_id() -> str:
    """Ids that sort by time: nanoseconds (16 digits), this process (8) and a running number (4), hexadecimal."""
    return f"ex_{time.time_ns():016x}{_PROCESS}{next(_count) & 0xFFFF:04x}"
