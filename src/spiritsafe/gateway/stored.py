"""Stored completions over HTTP: list, fetch, annotate, delete, and the messages they answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import parse_qsl

import msgspec

from spiritsafe.errors import SpiritsafeError
from spiritsafe.gateway import http
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.shelf import Kept, Shelf
from spiritsafe.gateway.types import Receive, Scope, Send
from spiritsafe.gateway.wire import CHAT, read
from spiritsafe.gateway.wire.types import Payload
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.reader import read as read_record

_MAX_BODY = 1 << 20
_MAX_PAGE = 100


class Stored:
    """Answers for what is under ``/v1/chat/completions`` beside the completions themselves.

    An account sees its own alone. Any live key opens them, also one that a decision keeps from asking.
    """

    def __init__(self, gate: Gate, shelf: Shelf, record: Path) -> None:
        self._gate = gate
        self._shelf = shelf
        self._record = record

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; its path begins with the completions' own."""
        call = Call(CHAT, scope)
        try:
            payload = await self._answer(call, receive)
        except http.ClientGone:
            return
        except Fault as fault:
            await http.refuse(send, fault, "openai", call.id, http.identity(call))
            return
        await http.answer(send, 200, msgspec.json.encode(payload), http.identity(call))

    async def _answer(self, call: Call, receive: Receive) -> Payload:
        seat = await self._gate.seat(call.headers, call.time)
        try:
            return await self._dispatch(call, seat.key.account_id, receive)
        except Fault:
            raise
        except SpiritsafeError as error:
            remedy = "Try again later; whoever runs this gateway must look at its disk."
            raise Fault("record_unwritable", "stored completions can't be reached", remedy=remedy) from error

    async def _dispatch(self, call: Call, account_id: str, receive: Receive) -> Payload:
        method = call.scope["method"]
        parts = [part for part in call.scope["path"].removeprefix(CHAT.path).split("/") if part]
        match (method, parts):
            case ("GET", []):
                return await self._list(call, account_id)
            case ("GET", [name]):
                kept, exchange = await self._fetch(account_id, name)
                return completion(kept, exchange)
            case ("GET", [name, "messages"]):
                kept, exchange = await self._fetch(account_id, name)
                return _page(_turns(kept, exchange), has_more=False)
            case ("POST", [name]):
                body = read.json_object(await http.read_body(receive, call.headers, _MAX_BODY))
                metadata = read.need(body, "metadata", dict, "an object of texts")
                kept, exchange = await self._fetch(account_id, name)
                await self._shelf.annotate(account_id, name, metadata)
                return completion(msgspec.structs.replace(kept, metadata=metadata), exchange)
            case ("DELETE", [name]):
                await self._find(account_id, name)
                await self._shelf.delete(account_id, name)
                return {"object": "chat.completion.deleted", "id": name, "deleted": True}
        raise Fault("method_not_allowed", f"no {method} here", remedy="Use GET, POST or DELETE on one completion.")

    async def _list(self, call: Call, account_id: str) -> Payload:
        query = dict(parse_qsl(call.scope.get("query_string", b"").decode("latin-1")))
        limit = query.get("limit", "20")
        if not limit.isdigit() or not 0 < int(limit) <= _MAX_PAGE:
            raise Fault("invalid_request", "'limit' is no page size", remedy=f"Send 1 to {_MAX_PAGE}.")
        wanted = {k[9:-1]: v for k, v in query.items() if k.startswith("metadata[") and k.endswith("]")}
        found = await self._shelf.page(
            account_id,
            after=query.get("after"),
            limit=int(limit) + 1,
            newest_first=query.get("order") == "desc",
            model=query.get("model"),
            metadata=wanted,
        )
        shown = found[: int(limit)]
        exchanges = await asyncio.gather(*(asyncio.to_thread(self._read, kept) for kept in shown))
        data = [completion(kept, exchange) for kept, exchange in zip(shown, exchanges, strict=True) if exchange]
        return _page(data, has_more=len(found) > len(shown))

    async def _find(self, account_id: str, name: str) -> Kept:
        kept = await self._shelf.get(account_id, name)
        if kept is None:
            remedy = "Check its id; it must have been made with 'store': true by this account, and not deleted."
            raise Fault("not_found", f"there is no stored completion {name!r}", remedy=remedy)
        return kept

    async def _fetch(self, account_id: str, name: str) -> tuple[Kept, Exchange]:
        kept = await self._find(account_id, name)
        exchange = await asyncio.to_thread(self._read, kept)
        if exchange is None:
            remedy = "Nothing can bring it back."
            raise Fault("not_found", f"the text of {name!r} was pruned from the record", remedy=remedy)
        return kept, exchange

    def _read(self, kept: Kept) -> Exchange | None:
        """The exchange of a stored completion, ``None`` once its text was pruned."""
        for row, exchange in read_record(self._record, start=kept.row):
            if row == kept.row and exchange.extra.get("response_id") == kept.id and exchange.messages is not None:
                return exchange
            break
        return None


def completion(kept: Kept, exchange: Exchange) -> Payload:
    """The completion in the API's shape, put together from its exchange."""
    extra = exchange.extra
    turns = exchange.messages or ()
    answers = turns[len(turns) - extra.get("answers", 0) :]
    if answers:
        choices = [
            _choice(a.extra["index"], a.content, a.extra.get("finish"), a.extra.get("tool_calls")) for a in answers
        ]
    else:
        choices = [_choice(0, exchange.completion, extra.get("finish"), None)]
    prompt, said = exchange.prompt_tokens or 0, exchange.completion_tokens or 0
    return {
        "id": kept.id,
        "object": "chat.completion",
        "created": int(kept.created.timestamp()),
        "model": extra.get("response_model") or exchange.model,
        "choices": choices,
        "usage": {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said},
        "metadata": kept.metadata,
        "request_id": exchange.exchange_id,
        **{name: value for name, value in exchange.params.items() if name not in ("stream_options", "n")},
    }


def _choice(index: int, content: object, finish: str | None, calls: object) -> Payload:
    message: Payload = {"role": "assistant", "content": content}
    if calls:
        message.update(content=content or None, tool_calls=calls)
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": None}


def _turns(kept: Kept, exchange: Exchange) -> list[Payload]:
    turns = exchange.messages or ()
    asked = turns[: len(turns) - exchange.extra.get("answers", 0)]
    found: list[Payload] = []
    if exchange.system is not None and not any(turn.role in ("system", "developer") for turn in asked[:1]):
        found.append({"role": "system", "content": exchange.system})
    found += [{"role": turn.role, "content": turn.content, **turn.extra} for turn in asked]
    return [{"id": f"{kept.id}-{number}", **turn} for number, turn in enumerate(found)]


def _page(data: list[Payload], *, has_more: bool) -> Payload:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}
