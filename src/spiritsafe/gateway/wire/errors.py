"""A fault in the shape of the API that was spoken: as a whole body, and as an event in a stream that had begun."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.types import Headers
from spiritsafe.gateway.wire.types import Family

_encode = msgspec.json.encode


def _detail(fault: Fault, kind: str) -> dict[str, Any]:
    detail: dict[str, Any] = {"type": kind, "message": str(fault), "code": fault.reason, **fault.detail}
    if fault.ruling:
        detail["decision"] = {
            "id": fault.ruling.decision_id,
            "action": fault.ruling.action,
            "reasons": list(fault.ruling.reasons),
            "appeal": {"method": "POST", "url": fault.ruling.appeal_url, "body": ["decision_id", "text"]},
        }
    return detail


def payload(fault: Fault, family: Family, request_id: str) -> dict[str, Any]:
    """The error object as the family's clients expect it."""
    if family == "anthropic":
        return {"type": "error", "error": _detail(fault, fault.kind.anthropic), "request_id": request_id}
    return {"error": {"param": None, **_detail(fault, fault.kind.openai)}}


def body(fault: Fault, family: Family, request_id: str) -> bytes:
    """The whole body of an error answer."""
    return _encode(payload(fault, family, request_id))


def headers(fault: Fault) -> Headers:
    """``Retry-After`` in whole seconds, rounded up, where a retry can help."""
    if fault.retry_after is None:
        return []
    return [(b"retry-after", b"%d" % max(1, math.ceil(fault.retry_after)))]


def event(fault: Fault, family: Family, dialect: str, request_id: str) -> bytes:
    """The error as a stream's last event, which takes the terminal event's place."""
    content = payload(fault, family, request_id)
    if dialect == "responses":
        # OpenAI's own error event is flat; its clients raise on the nested form, which the flat one lacks.
        flat = {"type": "error", "code": fault.reason, "message": str(fault), "param": None, **content}
        return b"event: error\ndata: %s\n\n" % _encode(flat)
    if family == "anthropic":
        return b"event: error\ndata: %s\n\n" % _encode(content)
    return b"data: %s\n\n" % _encode(content)
