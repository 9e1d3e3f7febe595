"""Where the accused object: ``POST /appeals`` with their own key, whatever was decided about them."""

from __future__ import annotations

import asyncio
import time

import msgspec

from spiritsafe.errors import SpiritsafeError, UsageError
from spiritsafe.gateway import http
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.enforce.limits import Bucket
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.types import Receive, Scope, Send
from spiritsafe.gateway.wire import CHAT, read
from spiritsafe.store import Store

PATH = "/appeals"
MAX_BODY = 64 << 10
PER_MINUTE = 10


class Appeals:
    """Takes appeals. A person reads them; the decision stands until that person reverses it."""

    def __init__(self, gate: Gate, store: Store) -> None:
        self._gate = gate
        self._store = store
        self._buckets: dict[str, Bucket] = {}

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        call = Call(CHAT, scope)
        try:
            payload = await self._take(call, receive)
        except http.ClientGone:
            return
        except Fault as fault:
            await http.refuse(send, fault, "openai", call.id, http.identity(call))
            return
        await http.answer(send, 201, msgspec.json.encode(payload), http.identity(call))

    async def _take(self, call: Call, receive: Receive) -> dict[str, object]:
        if call.scope["method"] != "POST":
            raise Fault("method_not_allowed", f"no {call.scope['method']} here", remedy="Use POST.")
        seat = await self._gate.seat(call.headers, call.time)
        account_id = seat.key.account_id
        self._slow(account_id)
        body = read.json_object(await http.read_body(receive, call.headers, MAX_BODY))
        decision_id = read.need(body, "decision_id", str, "the id of the decision")
        text = read.need(body, "text", str, "your objection as text")
        try:
            decision = await asyncio.to_thread(self._store.appeal, decision_id, text, account_id=account_id)
        except UsageError as error:
            # Whether another's decision exists is nobody's business: both look the same from outside.
            remedy = "Send the id that the refusal named, with the key that was refused, and say why it is wrong."
            raise Fault("not_found", "there is no such decision about this account", remedy=remedy) from error
        except SpiritsafeError as error:
            remedy = "Try again in a moment."
            raise Fault("store_unreachable", "the appeal can't be written down now", remedy=remedy) from error
        return {
            "decision_id": decision.decision_id,
            "case_id": decision.case_id,
            "status": decision.status,
            "received": call.time,
        }

    def _slow(self, account_id: str) -> None:
        now = time.monotonic()
        bucket = self._buckets.setdefault(account_id, Bucket(PER_MINUTE, now))
        if (wait := bucket.wait(1, now)) > 0:
            raise Fault("requests_per_minute", "that is many appeals", remedy="Wait a moment.", retry_after=wait)
        bucket.take(1)
