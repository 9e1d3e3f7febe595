"""What goes wrong for a client: one exception, one table of reason codes; each API gives it its own shape."""

from __future__ import annotations

from typing import NamedTuple

from spiritsafe.errors import SpiritsafeError


class Kind(NamedTuple):
    """Status and the type names that OpenAI's and Anthropic's clients know for it."""

    status: int
    openai: str
    anthropic: str


_BAD = Kind(400, "invalid_request_error", "invalid_request_error")
_KEY = Kind(401, "authentication_error", "authentication_error")
_FORBIDDEN = Kind(403, "permission_error", "permission_error")
_MISSING = Kind(404, "not_found_error", "not_found_error")
_METHOD = Kind(405, "invalid_request_error", "invalid_request_error")
_LARGE = Kind(413, "request_too_large", "request_too_large")
_MANY = Kind(429, "rate_limit_error", "rate_limit_error")
_UPSTREAM = Kind(502, "upstream_error", "api_error")
_UNAVAILABLE = Kind(503, "service_unavailable_error", "overloaded_error")
_LATE = Kind(504, "timeout_error", "timeout_error")

KINDS: dict[str, Kind] = {
    "invalid_json": _BAD,
    "invalid_utf8": _BAD,
    "invalid_request": _BAD,
    "unsupported": _BAD,
    "content_not_kept": _BAD,
    "not_released": _BAD,
    "sealed_elsewhere": _BAD,
    "missing_key": _KEY,
    "invalid_key": _KEY,
    "expired_key": _KEY,
    "revoked_key": _KEY,
    "verify": _FORBIDDEN,
    "suspend": _FORBIDDEN,
    "unknown_path": _MISSING,
    "unknown_model": _MISSING,
    "not_found": _MISSING,
    "method_not_allowed": _METHOD,
    "request_too_large": _LARGE,
    "requests_per_minute": _MANY,
    "tokens_per_minute": _MANY,
    "requests_per_day": _MANY,
    "tokens_per_day": _MANY,
    "too_many_in_flight": _MANY,
    "throttle": _MANY,
    "upstream_rejected": _BAD,
    "upstream_rate_limit": _MANY,
    "upstream_error": _UPSTREAM,
    "upstream_auth": _UPSTREAM,
    "upstream_unreachable": _UPSTREAM,
    "upstream_disconnected": _UPSTREAM,
    "upstream_nonsense": _UPSTREAM,
    "upstream_content_type": _UPSTREAM,
    "upstream_cut_short": _UPSTREAM,
    "upstream_lacks_api": _MISSING,
    "upstream_overloaded": _UNAVAILABLE,
    "record_unwritable": _UNAVAILABLE,
    "store_unreachable": _UNAVAILABLE,
    "busy": _UNAVAILABLE,
    "shutting_down": _UNAVAILABLE,
    "timeout_connect": _LATE,
    "timeout_first_byte": _LATE,
    "timeout_idle": _LATE,
    "timeout_total": _LATE,
    "client_gone": Kind(499, "client_closed_request", "api_error"),
}
"""Every reason code that a client can meet, with its status."""


class Ruling(NamedTuple):
    """The decision behind a refusal, as the refused may know it, and where to appeal."""

    decision_id: str
    action: str
    reasons: tuple[str, ...]
    appeal_url: str


class Fault(SpiritsafeError):
    """Something that ends a request with an error answer.

    ``reason`` is one of ``KINDS``; ``status`` overrides the usual one (an upstream's own 4xx), ``detail`` the
    ``code`` and ``param`` by which its clients know the mistake; ``retry_after`` is in seconds.
    """

    code = "fault"

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        remedy: str,
        status: int | None = None,
        retry_after: float | None = None,
        ruling: Ruling | None = None,
        detail: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason
        self.kind = KINDS[reason]
        self.status = status or self.kind.status
        self.retry_after = retry_after
        self.ruling = ruling
        self.detail = detail or {}
