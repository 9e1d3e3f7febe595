"""One request's way: let in, sent on, heard, recorded, answered.

``Relay.serve`` reads in that order. Whatever ends a request early is a ``Fault`` or a cut (the client left, a
limit of time was reached); an exchange that was let in is recorded either way, before its error leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from spiritsafe.gateway import http
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.client import Lost, NotHttp, Reply
from spiritsafe.gateway.enforce.gate import Gate, Permit
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.meter import Meter
from spiritsafe.gateway.recorder import Recorder, tokens_in
from spiritsafe.gateway.release import Edit, Releaser
from spiritsafe.gateway.settings import Settings, size
from spiritsafe.gateway.shelf import Shelf
from spiritsafe.gateway.sweep import Flight, Sweep
from spiritsafe.gateway.tap import Take, Tap
from spiritsafe.gateway.twins import Twins
from spiritsafe.gateway.types import Headers, Receive, Scope, Send
from spiritsafe.gateway.upstream import MARK, TENANT, Upstream, cut_short, failure, nonsense, pick, whole
from spiritsafe.gateway.wire import CHAT, TRANSLATIONS, errors, read
from spiritsafe.gateway.wire.types import Dialect, Payload, Translation

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode

_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
JSON_TYPE, EVENTS_TYPE = b"application/json", b"text/event-stream"
_UNCACHED = (b"cache-control", b"no-cache")
_PASSED = (b"openai-", b"anthropic-")
"""Beginnings of upstream headers that are passed on; its rate limits and ids are not our client's."""


class Relay:
    """Serves the APIs of ``wire`` from the upstreams."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        recorder: Recorder,
        upstreams: Sequence[Upstream],
        sweep: Sweep,
        shelf: Shelf,
        meter: Meter,
        twins: Twins | None = None,
        releaser: Releaser | None = None,
    ) -> None:
        self._limit = size(settings.limits.body)
        self._public_url = settings.public_url
        self._gate = gate
        self._recorder = recorder
        self._upstreams = upstreams
        self._sweep = sweep
        self._shelf = shelf
        self._meter = meter
        self._twins = twins
        self._releaser = releaser

    async def serve(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request of ``dialect``."""
        call = Call(dialect, scope)
        try:
            call.seat = await self._gate.seat(call.headers, call.time)
            self._recorder.check()
            body = await http.read_body(receive, call.headers, self._limit)
            payload = read.json_object(body)
            call.ask = dialect.ask(payload)
            if call.ask.store and not self._recorder.keeps_text:
                raise _nothing_kept()
            appeals = call.origin(self._public_url) + "/appeals"
            call.permit = self._gate.admit(call.seat, call.ask.model, tokens_in(len(body)), call.time, appeals)
        except Fault as fault:
            await self._turn_away(call, fault, send)
            return
        except http.ClientGone:
            return
        flight = self._sweep.enter(receive)
        try:
            await self._fly(call, flight, payload, body, send)
        finally:
            self._sweep.leave(flight)
            self._gate.leave(call.permit, call.tokens)

    async def _turn_away(self, call: Call, fault: Fault, send: Send) -> None:
        """Answer a request that was not let in. Only refusals by decision are recorded: they are evidence."""
        seat = call.seat
        if fault.ruling is not None and seat is not None and self._gate.may_record_refusal(seat.tenant):
            try:
                await self._recorder.write(call, fault.status, fault)
            except Fault as unwritable:
                fault = unwritable
        self._meter.refused(call.dialect.name, fault.reason)
        headers = http.identity(call) + (self._gate.headers(seat) if seat is not None else [])
        await http.refuse(send, fault, call.dialect.family, call.id, headers)

    async def _fly(self, call: Call, flight: Flight, payload: Payload, body: bytes, send: Send) -> None:
        """Forward an admitted request; turn whatever ends it early into a record and an error."""
        try:
            await self._forward(call, flight, payload, body, send)
            self._meter.answered(call.dialect.name, 200, call.began)
            return
        except Fault as caught:
            fault = caught
        except asyncio.CancelledError:
            if flight.cut is None:  # the server is being shut down
                if not call.recorded:
                    self._recorder.submit(call, 503, _shutting_down())
                raise
            flight.task.uncancel()
            fault = _cut(flight.cut)
        self._meter.answered(call.dialect.name, fault.status, call.began)
        if not call.recorded:
            try:
                await self._recorder.write(call, fault.status, fault)
            except Fault as unwritable:
                fault = unwritable
        if flight.cut != "client_gone":
            await self._tell(call, fault, send)

    async def _tell(self, call: Call, fault: Fault, send: Send) -> None:
        """The error answer, or the error event that takes a stream's end's place."""
        if not call.started:
            await http.refuse(send, fault, call.dialect.family, call.id, self._headers(call))
            return
        event = errors.event(fault, call.dialect.family, call.dialect.name, call.id)
        await send({"type": "http.response.body", "body": event})

    async def _forward(self, call: Call, flight: Flight, payload: Payload, body: bytes, send: Send) -> None:
        ask, permit = call.ask, call.permit
        assert ask is not None
        assert permit is not None
        upstream = pick(self._upstreams, ask.model)
        take: Edit | None = None
        if self._releaser is not None:
            take = self._releaser.edit(call)
            if self._releaser.opened(call, payload):
                body = _encode(payload)
        flight.wait("first_byte")
        translation = await self._translation(call, upstream, payload)
        path, hearing = call.dialect.path, call.hearing
        drop_usage = False
        if translation is not None:
            body = _encode(translation.request())
        elif ask.stream and not ask.wants_usage and upstream.settings.ask_usage:
            body, drop_usage = _asking_usage(payload, body), True
        path = path if translation is None else hearing.path
        assert call.seat is not None
        # Whatever the client wrote there: only a model server of our own is told (tell_tenant).
        call.headers[TENANT] = call.seat.tenant.account.account_id.encode("latin-1", "replace")
        if self._twins is None:
            reply = await upstream.request("POST", path, body, call.headers, hearing)
        else:
            reply = await self._twins.request(call, upstream, path, body)
        call.reached = True
        call.mark_id = _mark(reply)
        try:
            if reply.status != 200:
                raise await failure(reply)
            if ask.stream:
                into = translation.stream() if translation is not None else None
                tap = Tap(
                    hearing, ask, call.answer, into=into, withhold=permit.withhold, take=take, drop_usage=drop_usage
                )
                await self._stream(call, flight, tap, reply, send)
            else:
                await self._whole(call, flight, reply, translation, take, send)
        except BaseException:
            reply.close()  # the connection with it: the upstream stops working for nobody
            raise
        reply.release()

    async def _translation(self, call: Call, upstream: Upstream, payload: Payload) -> Translation | None:
        if await upstream.speaks(call.dialect):
            return None
        make = TRANSLATIONS.get(call.dialect.name)
        if make is None or not await upstream.speaks(CHAT):
            raise Fault(
                "upstream_lacks_api",
                f"the model server {upstream.settings.name!r} doesn't offer {call.dialect.path}",
                remedy="Use another of this gateway's APIs or models.",
            )
        call.hearing = CHAT
        return make(payload, call.id.removeprefix("ex_"))

    async def _whole(
        self,
        call: Call,
        flight: Flight,
        reply: Reply,
        translation: Translation | None,
        take: Edit | None,
        send: Send,
    ) -> None:
        data = await whole(reply)
        flight.wait("busy")
        if not _is(reply, JSON_TYPE):
            raise _wrong_type(reply, JSON_TYPE)
        ask, answer, permit = call.ask, call.answer, call.permit
        assert ask is not None
        assert permit is not None
        try:
            call.hearing.read(data, ask, answer)
            taken = call.hearing.withhold if permit.withhold else take
            if translation is not None or taken is not None:
                data = _changed(data, translation, taken)
        except read.UNREADABLE as error:
            raise nonsense(f"it is not JSON ({error})") from error
        if not answer.choices and not answer.output:
            raise nonsense("there is no answer in it")
        row = await self._recorder.write(call, 200)
        await self._keep(call, row)
        await http.answer(send, 200, data, self._headers(call, reply))

    async def _stream(self, call: Call, flight: Flight, tap: Tap, reply: Reply, send: Send) -> None:
        if not _is(reply, EVENTS_TYPE):
            raise _wrong_type(reply, EVENTS_TYPE)
        meter = self._meter
        while True:
            try:
                chunk = await reply.read()
            except (Lost, NotHttp) as error:
                if tap.ended:
                    break  # all of the answer was heard; only the connection's own end is missing
                raise cut_short() from error
            if not chunk:
                break
            out = tap.feed(chunk)
            if out:
                meter.chunks += 1
                flight.wait("busy")
                if not call.started:
                    await self._start(call, reply, send)
                await send({"type": "http.response.body", "body": out, "more_body": True})
            if tap.fault is not None:
                raise tap.fault
            if call.answer.over:
                break  # some servers keep the connection's end waiting
            flight.wait("idle")
        flight.wait("busy")
        if call.answer.error is not None:
            raise _said_error(call)
        if not tap.ended:
            raise cut_short()
        row = await self._recorder.write(call, 200)
        await self._keep(call, row)
        if not call.started:
            await self._start(call, reply, send)
        await send({"type": "http.response.body", "body": tap.ending()})

    async def _start(self, call: Call, reply: Reply, send: Send) -> None:
        call.started = True
        head = [_EVENTS, _UNCACHED, *self._headers(call, reply)]
        await send({"type": "http.response.start", "status": 200, "headers": head})

    async def _keep(self, call: Call, row: int) -> None:
        """Remember a completion that the client wants to fetch later."""
        assert call.ask is not None
        if call.ask.store and call.dialect is CHAT and call.answer.id is not None:
            assert call.seat is not None
            await self._shelf.put(call.seat.key.account_id, call.answer.id, row, call.ask, call.time)

    def _headers(self, call: Call, reply: Reply | None = None) -> Headers:
        headers = http.identity(call)
        if call.seat is not None:
            headers += self._gate.headers(call.seat)
        permit: Permit | None = call.permit
        if permit is not None and permit.decision is not None:
            headers.append((b"x-spiritsafe-decision", permit.decision.decision_id.encode()))
            headers.append((b"x-spiritsafe-action", permit.decision.action.encode()))
            headers.append((b"x-spiritsafe-appeal", call.origin(self._public_url).encode("latin-1") + b"/appeals"))
        if reply is not None:
            for name, value in reply.headers:
                if name.startswith(_PASSED) and b"ratelimit" not in name:
                    headers.append((name, value))
        return headers


def _mark(reply: Reply) -> str | None:
    return next((value.decode("latin-1") for name, value in reply.headers if name == MARK), None)


def _changed(data: bytes, translation: Translation | None, take: Take | None) -> bytes:
    """A whole answer without what may not leave, and in the API that was spoken."""
    payload = read.mapping(_decode(data))
    if take is not None:
        take(payload)
    return _encode(payload if translation is None else translation.whole(payload))


def _asking_usage(payload: Payload, body: bytes) -> bytes:
    """The request with token counts asked for, its other bytes as they came."""
    options = payload.get("stream_options")
    if options is None and "stream_options" not in payload:
        return b'{"stream_options":{"include_usage":true},' + body.lstrip()[1:]
    return _encode({**payload, "stream_options": {**read.mapping(options), "include_usage": True}})


def _nothing_kept() -> Fault:
    return Fault(
        "content_not_kept",
        "this gateway keeps no text, so it can't store the completion",
        remedy="Leave out 'store', or ask whoever runs this gateway to set record.content to full.",
    )


def _is(reply: Reply, kind: bytes) -> bool:
    return reply.header(b"content-type").lower().startswith(kind)


def _wrong_type(reply: Reply, wanted: bytes) -> Fault:
    given = reply.header(b"content-type").decode("latin-1")
    return Fault(
        "upstream_content_type",
        f"the model server answered with {given!r} where {wanted.decode()!r} was due",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


def _said_error(call: Call) -> Fault:
    words = read.text((call.answer.error or {}).get("message")) or "it did not say what"
    return Fault(
        "upstream_error",
        f"the model server broke off: {words[:1000]}",
        remedy="Try again; if it lasts, tell whoever runs this gateway.",
    )


def _shutting_down() -> Fault:
    return Fault("shutting_down", "this gateway is shutting down", remedy="Try again in a moment.", retry_after=2)


def _cut(why: str) -> Fault:
    if why == "client_gone":
        return Fault(why, "the client left before its answer was complete", remedy="Nobody is there to be told.")
    what = why.removeprefix("timeout_").replace("_", " ")
    return Fault(
        why,
        f"the model server took longer than this gateway waits (limit: {what})",
        remedy="Ask for less, or try again; whoever runs this gateway can raise timeouts.",
    )
