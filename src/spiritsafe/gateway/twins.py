"""Drawing twins: for some requests two identical ones go upstream, and a committed coin says which the client hears.

Both slots are treated alike by the same code: sent in the order of their numbers, held to the same limits of time,
read to their end whatever becomes of the client. The coin touches one thing: whose bytes the client gets. A pair is
kept if both slots answered whole, and dropped otherwise, which does not depend on the coin either.

What is drawn costs the provider one more answer and the client nothing: the other answer is read beside its own and
never waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Literal

from spiritsafe.errors import SpiritsafeError, UsageError
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.client import Lost, NotHttp, Pool, Reply
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.recorder import Recorder
from spiritsafe.gateway.settings import Settings, TimeoutSettings, seconds
from spiritsafe.gateway.tap import Tap
from spiritsafe.gateway.upstream import Upstream, cut_short
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Dialect
from spiritsafe.protect.twins import coin, commitment_row, epoch_key, epoch_of, exchanges_of, is_drawn
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog

FOLDER = "twins"
"""Below the data folder: a data folder of its own, with its own record and keys, so that a withheld answer is never
counted, judged or shown as traffic."""

TEXT = frozenset({"chat", "completions", "messages", "responses"})
SLACK = 2.0
"""Seconds by which a slot is waited for longer than a client: a served slot's time is up for the client first."""

NEARBY = "http://127.0.0.1"


class Twins:
    """Draws, pumps and keeps pairs, on the gateway's loop. ``kept``, ``lost`` and ``tokens`` count pairs and what the
    withheld answers cost.
    """

    def __init__(self, settings: Settings, recorder: Recorder) -> None:
        if settings.record.content != "full":
            remedy = "Set record.content to full, or leave out --twins."
            raise UsageError("twins are texts, and this gateway keeps none", remedy=remedy)
        folder = settings.folder / FOLDER
        self._share = settings.twins.share
        self._root = secret(folder / "keys" / "twins.key")
        self._log = SealedLog.open(folder / "record", roll_seconds=seconds(settings.record.roll))
        self._limits = settings.timeouts
        self._recorder = recorder
        self._nowhere = Pool(NEARBY, 1.0)
        self._keys: dict[str, bytes] = {}
        self._running: set[asyncio.Task[None]] = set()
        self.kept = self.lost = self.tokens = 0
        self.trouble: SpiritsafeError | None = None

    async def open(self) -> None:
        """Commit to this epoch's key. Raises ``ResourceError`` if the log takes nothing."""
        await self._commit(epoch_of(datetime.now(UTC)))

    async def close(self) -> None:
        """Drop what is under way and close the log."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.to_thread(self._log.close)

    async def request(self, call: Call, upstream: Upstream, path: str, body: bytes) -> Reply:
        """Send the request upstream, once or, if it is drawn, twice; the answer is the client's. Raises ``Fault``."""
        key = self._key(call)
        if key is None:
            return await upstream.request("POST", path, body, call.headers, call.hearing)
        heard = Heard(self._nowhere)
        served = coin(key, call.id)
        slots = [_Slot(call, upstream, path, body, heard if slot == served else None) for slot in (0, 1)]
        # Tasks begin in the order in which they are made: that of the slots, whatever the coin.
        pumps = [self._start(slot.run(self._limits)) for slot in slots]
        self._start(self._keep(call, slots, pumps))
        await heard.begun()
        return heard

    def _key(self, call: Call) -> bytes | None:
        """The epoch's key if the request is drawn; all that decides is known before either answer."""
        ask = call.ask
        assert ask is not None
        if call.dialect.name not in TEXT or not _is_random(ask):
            return None
        epoch = epoch_of(call.time)
        key = self._keys.get(epoch)
        if key is None:
            # A new epoch: its first requests go untwinned until the commitment is on the disk.
            self._start(self._commit(epoch))
            return None
        return key if is_drawn(key, call.id, self._share) else None

    async def _commit(self, epoch: str) -> None:
        key = epoch_key(self._root, epoch)
        await self._log.write(commitment_row(key, epoch, datetime.now(UTC)))
        self._keys[epoch] = key

    async def _keep(self, call: Call, slots: list[_Slot], pumps: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*pumps, return_exceptions=True)
        texts = (slots[0].text, slots[1].text)
        if texts[0] is None or texts[1] is None:
            self.lost += 1
            return
        counts = (slots[0].answer.completion_tokens, slots[1].answer.completion_tokens)
        served: Exchange = self._recorder.exchange(call, 200)
        rows = exchanges_of(served, (texts[0], texts[1]), counts)
        try:
            await asyncio.gather(*(self._log.write(row) for row in rows))
        except SpiritsafeError as error:
            self.lost += 1
            self.trouble = error
            return
        self.trouble = None
        self.kept += 1
        self.tokens += next(c or 0 for slot, c in zip(slots, counts, strict=True) if slot.heard is None)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


class Heard(Reply):
    """The served slot's answer as the relay reads it; closing it stops nothing."""

    def __init__(self, nowhere: Pool) -> None:
        super().__init__(nowhere)
        self._fault: Fault | None = None

    async def begun(self) -> None:
        """Wait for the answer's head. Raises the ``Fault`` that came in its place."""
        try:
            await self.head()
        except Lost:
            raise self._fault or cut_short() from None

    def begins(self, reply: Reply) -> None:
        """The answer's head came."""
        self.status, self.headers, self._headed = reply.status, reply.headers, True
        self._wake()

    def ends(self, failure: Fault | Lost | NotHttp | None) -> None:
        """All came, or something came between."""
        if failure is None:
            self.on_message_complete()
        elif isinstance(failure, Fault):
            self._fault = failure
            self._fail(Lost(begun=False))
        else:
            self._fail(failure)


class _Slot:
    """One of the two requests. ``text`` is its answer once it came in whole, ``None`` otherwise."""

    def __init__(self, call: Call, upstream: Upstream, path: str, body: bytes, heard: Heard | None) -> None:
        self._call = call
        self._upstream = upstream
        self._path = path
        self._body = body
        self.heard = heard
        self.answer = Answer()
        self.text: str | None = None

    async def run(self, limits: TimeoutSettings) -> None:
        """Ask, and read to the end."""
        failure: Fault | Lost | NotHttp | None = Lost(begun=True)
        try:
            async with asyncio.timeout(seconds(limits.total) + SLACK):
                async with asyncio.timeout(seconds(limits.first_byte) + SLACK):
                    reply = await self._upstream.request(
                        "POST", self._path, self._body, self._call.headers, self._call.hearing
                    )
                try:
                    await self._read(reply, seconds(limits.idle) + SLACK)
                except BaseException:
                    reply.close()
                    raise
                reply.release()
                failure = None
        except (Fault, Lost, NotHttp) as error:
            failure = error
        except TimeoutError:
            pass  # the client's own clock tells it
        finally:
            if self.heard is not None:
                self.heard.ends(failure)

    async def _read(self, reply: Reply, idle: float) -> None:
        if self.heard is not None:
            self.heard.begins(reply)
        ask, dialect = self._call.ask, self._call.hearing
        assert ask is not None
        tap = Tap(dialect, ask, self.answer) if ask.stream else None
        pieces: list[bytes] = []
        while True:
            async with asyncio.timeout(idle):
                chunk = await reply.read()
            if not chunk:
                break
            if self.heard is not None:
                self.heard.on_body(chunk)
            if reply.status == 200:
                _hear(tap, pieces, chunk)
            if self.answer.over:
                break
        if reply.status == 200:
            self.text = _whole_text(dialect, ask, self.answer, tap, pieces)


def _hear(tap: Tap | None, pieces: list[bytes], chunk: bytes) -> None:
    if tap is None:
        pieces.append(chunk)
    elif tap.fault is None:
        tap.feed(chunk)


def _whole_text(dialect: Dialect, ask: Ask, answer: Answer, tap: Tap | None, pieces: list[bytes]) -> str | None:
    """The answer's text if it is whole and nothing but text."""
    if tap is None:
        try:
            dialect.read(b"".join(pieces), ask, answer)
        except read.UNREADABLE:
            return None
    elif tap.fault is not None or not tap.ended:
        return None
    choice = answer.choices.get(0)
    if choice is None or choice.calls or answer.error is not None:
        return None
    return "".join(choice.text)


def _is_random(ask: Ask) -> bool:
    """Whether two answers to it can differ, and are one text each."""
    params = ask.params
    fixed: tuple[Literal["seed", "tools", "functions"], ...] = ("seed", "tools", "functions")
    return ask.choices == 1 and params.get("temperature", 1) != 0 and not any(params.get(name) for name in fixed)
