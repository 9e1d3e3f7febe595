"""A row of a table of exchanges: the fields of an exchange under their own names, and a few short forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers.shape import chat, count, decoded, mapping, moment
from spiritsafe.record.importers.types import Item

if TYPE_CHECKING:
    from spiritsafe.record.importers.types import Found, Options

TEXTS = (
    *("key_id", "model", "endpoint", "completion", "reasoning", "ip_prefix", "network", "client", "payment"),
    *("session", "grant_id", "mark_id", "twin_of", "canary_id"),
)
COUNTS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "status")
PARAMS = ("temperature", "top_p", "top_k", "n", "max_tokens", "seed", "logprobs", "stop", "stream", "tools")
NEEDED = ("account_id", "time")
OTHERS = (
    "exchange_id",
    "version",
    "content",
    "system",
    "prompt",
    "messages",
    "sketch",
    "latency_ms",
    "params",
    "extra",
)
# What a segment holds beside an exchange's fields.
SEALED = ("row", "salt", "commitment", "mark", "pruned")


def from_row(row: dict[str, Any], where: str, options: Options) -> Found:
    """Make an exchange of a row. ``prompt`` stands for one user's turn, ``messages`` may be JSON text.

    The names in ``PARAMS`` may stand beside ``params``; names that are none of these go to ``extra``.
    """
    time = moment(row.get("time"), options.zone)
    if time is None:
        return Problem(where, f"there is no time in 'time': {row.get('time')!r}", "Give ISO 8601 or seconds since 1970")
    account = row.get("account_id")
    if account in (None, ""):
        return Problem(where, "'account_id' is empty", "Give each row the account that asked")
    system, messages = _asked(row)
    content = row.get("content")
    known = {*NEEDED, *TEXTS, *COUNTS, *PARAMS, *OTHERS, *SEALED}
    unknown = {name: value for name, value in row.items() if name not in known and value is not None}
    latency = row.get("latency_ms")
    given: dict[str, Any] = {name: _text(row.get(name)) for name in TEXTS}
    given |= {name: count(row.get(name)) for name in COUNTS}
    exchange = Exchange(
        exchange_id=_text(row.get("exchange_id")) or "",
        time=time,
        account_id=str(account),
        content=content if content in ("full", "sketch", "none") else "full",
        system=system,
        messages=messages,
        sketch=_object(row.get("sketch")) or None,
        latency_ms=float(latency) if isinstance(latency, int | float) else None,
        params={
            **_object(row.get("params")),
            **{name: row[name] for name in PARAMS if row.get(name) is not None},
        },
        extra={**unknown, **_object(row.get("extra"))},
        **given,
    )
    return Item(where, exchange)


def _asked(row: dict[str, Any]) -> tuple[str | None, tuple[Message, ...] | None]:
    value = decoded(row.get("messages"))  # a text that is no JSON is one user's turn
    system, messages = chat(_plain_turns(value))
    if messages is None and isinstance(row.get("prompt"), str):
        messages = (Message("user", row["prompt"]),)
    return _text(row.get("system")) or system, messages


def _plain_turns(value: Any) -> Any:
    """Bring turns as we store them back to the shape of an API: ``extra`` beside the rest."""
    if not isinstance(value, list):
        return value
    return [
        {**{k: v for k, v in turn.items() if k != "extra"}, **turn["extra"]}
        if isinstance(turn, dict) and isinstance(turn.get("extra"), dict)
        else turn
        for turn in value
    ]


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _object(value: Any) -> dict[str, Any]:
    return mapping(decoded(value))
