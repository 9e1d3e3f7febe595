"""From a call to its exchange in the sealed log. No answer ends at a client before its exchange is durable.

The answer's text is in ``completion`` and ``reasoning``. Where there is more to it (tool calls, several
choices), each choice stands once more as the last turns of ``messages``, as many as ``extra["answers"]``
says: ``messages`` is content, which can be left out or pruned; ``extra`` is not.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from spiritsafe.errors import InputError, SpiritsafeError
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.enforce.gate import Gate
from spiritsafe.gateway.enforce.usage import Book, Line, line_of
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.settings import TrustSettings
from spiritsafe.gateway.sources import Sources
from spiritsafe.gateway.wire import read
from spiritsafe.gateway.wire.types import Answer, Ask, Payload
from spiritsafe.record.exchange import Content, Exchange, Message
from spiritsafe.record.identity import Pseudonymizer
from spiritsafe.record.log import SealedLog

CHARACTERS_PER_TOKEN = 4
"""The rule of thumb for token counts that nobody gave."""

CROWD = 4
"""From so many requests under way on, an exchange waits for others to be written with it."""

LINGER = 0.004
"""For so many seconds. One group costs the disk what one exchange does, and the two threads as many handovers."""

NO_ROW = -1
"""For an exchange whose row nobody waited to hear."""

PAUSE = 1.0
"""Seconds for which requests are refused unasked after the log refused one, lest a full disk waste model time."""


class Recorder:
    """Writes exchanges for one gateway, on its event loop."""

    def __init__(
        self, log: SealedLog, gate: Gate, book: Book, pseudonyms: Pseudonymizer, trust: TrustSettings, content: Content
    ) -> None:
        self._log = log
        self._gate = gate
        self._book = book
        self._pseudonyms = pseudonyms
        self._sources = Sources(trust, pseudonyms)
        self._content = content
        self._refused_at = -PAUSE
        self._gathered: list[tuple[Exchange, asyncio.Future[int]]] = []
        self.trouble: SpiritsafeError | None = None
        """Why the last exchange could not be written; ``None`` once one can again."""

    @property
    def keeps_text(self) -> bool:
        """Whether what was said can be read back."""
        return self._content == "full"

    def check(self) -> None:
        """Refuse a request before any work is done for it if its exchange could hardly be written."""
        if self.trouble is not None and time.monotonic() - self._refused_at < PAUSE:
            raise _unwritable()

    async def write(self, call: Call, status: int, fault: Fault | None = None) -> int:
        """Append the call's exchange and wait until it is durable; returns its row.

        Raises ``Fault`` if it can't be written: then the answer must not be given.
        """
        exchange, line = self._made(call, status, fault)
        row = NO_ROW
        try:
            row = await (self._gather(exchange) if self._gate.in_flight >= CROWD else self._log.write(exchange))
            self.trouble = None
        except (InputError, RecursionError) as error:
            line = None
            remedy = "Send something flatter and plainer."
            raise Fault("invalid_request", "the request is of a form that can't be recorded", remedy=remedy) from error
        except SpiritsafeError as error:
            line = None
            raise self._refused(error) from error
        finally:
            self._book.note(line, row)  # a call that is cut off here is written all the same
        return row

    def submit(self, call: Call, status: int, fault: Fault) -> None:
        """Append without waiting, where nobody can wait any more. Raises ``Fault`` if the log takes nothing."""
        exchange, line = self._made(call, status, fault)
        try:
            self._log.write(exchange)
        except SpiritsafeError as error:
            raise self._refused(error) from error
        self._book.note(line, NO_ROW)

    def _made(self, call: Call, status: int, fault: Fault | None) -> tuple[Exchange, Line | None]:
        exchange = self.exchange(call, status, fault)
        line = line_of(exchange)
        call.recorded = True
        call.tokens = line.tokens if line is not None else None
        return exchange, line

    def _gather(self, exchange: Exchange) -> asyncio.Future[int]:
        """Write it with the others of this moment, as one group."""
        loop = asyncio.get_running_loop()
        if not self._gathered:
            loop.call_later(LINGER, self._go)
        waiter: asyncio.Future[int] = loop.create_future()
        self._gathered.append((exchange, waiter))
        return waiter

    def _go(self) -> None:
        gathered, self._gathered = self._gathered, []
        self._log.write_all(gathered)

    def _refused(self, error: SpiritsafeError) -> Fault:
        self.trouble = error
        self._refused_at = time.monotonic()
        return _unwritable()

    def exchange(self, call: Call, status: int, fault: Fault | None = None) -> Exchange:
        """The call as it will be recorded."""
        ask, answer, permit = call.ask, call.answer, call.permit
        assert ask is not None
        assert call.seat is not None
        key, account = call.seat.key, call.seat.tenant.account
        messages, extra = _answers(ask, answer)
        if ask.user is not None:
            extra["user"] = self._pseudonyms.of("user", ask.user)
        if fault is not None:
            extra["fault"] = fault.reason
            if fault.ruling is not None:
                extra["decision_id"] = fault.ruling.decision_id
        prompt, completion = answer.prompt_tokens, answer.completion_tokens
        if prompt is None or completion is None:
            prompt, completion = _estimate(ask, answer, call.reached)
            extra["tokens_estimated"] = True
        choice = answer.choices.get(0)
        text = self._content == "full"
        source = self._sources.of(call.scope, call.headers)
        return Exchange(
            exchange_id=call.id,
            time=call.time,
            account_id=account.account_id,
            key_id=key.key_id,
            model=ask.model or answer.model,
            endpoint=call.dialect.path,
            system=ask.system,
            messages=messages,
            completion="".join(choice.text) if choice is not None else None,
            reasoning="".join(choice.reasoning) or None if choice is not None else None,
            prompt_tokens=prompt,
            completion_tokens=completion,
            reasoning_tokens=answer.reasoning_tokens,
            latency_ms=round((time.monotonic() - call.began) * 1000, 3),
            status=status,
            params=ask.params if text else _lean(ask.params),
            ip_prefix=source.ip_prefix,
            network=source.network,
            client=source.client,
            payment=account.payment,
            session=source.session,
            grant_id=permit.grant.grant_id if permit is not None and permit.grant is not None else None,
            mark_id=call.mark_id,
            extra={**(ask.extra if text else _lean(ask.extra)), **extra},
        )


def _unwritable() -> Fault:
    return Fault(
        "record_unwritable",
        "the exchange can't be recorded, and nothing is answered off the record",
        remedy="Try again later; whoever runs this gateway must look at its disk.",
        retry_after=5,
    )


def _answers(ask: Ask, answer: Answer) -> tuple[tuple[Message, ...], Payload]:
    """The turns to record, and what stands in ``extra`` about the answer."""
    extra: Payload = dict(answer.output)
    if answer.id is not None:
        extra["response_id"] = answer.id
    if answer.model is not None and answer.model != ask.model:
        extra["response_model"] = answer.model
    if answer.unread:
        extra["unread_events"] = answer.unread
    choices = answer.choices
    if not choices:
        return ask.messages, extra
    if len(choices) == 1:
        (choice,) = choices.values()
        if choice.finish is not None:
            extra["finish"] = choice.finish
        if not choice.calls:
            return ask.messages, extra
    turns = list(ask.messages)
    for index in sorted(choices):
        choice = choices[index]
        more: Payload = {"index": index, "finish": choice.finish}
        if choice.calls:
            more["tool_calls"] = [
                {"id": c.id, "type": c.kind, "function": {"name": c.name, "arguments": c.arguments}}
                for c in choice.calls
            ]
        turns.append(Message("assistant", "".join(choice.text), more))
    extra["answers"] = len(choices)
    return tuple(turns), extra


def _estimate(ask: Ask, answer: Answer, reached: bool) -> tuple[int, int]:
    """Token counts by length, at least one each where there is text; nothing if the upstream never saw the call."""
    if not reached:
        return 0, 0
    prompt = len(ask.system or "") + sum(len(read.words(message.content)) for message in ask.messages)
    said = 0
    for choice in answer.choices.values():
        said += sum(map(len, choice.text)) + sum(map(len, choice.reasoning))
        said += sum(len(call.name) + len(call.arguments) for call in choice.calls)
    return answer.prompt_tokens or tokens_in(prompt), answer.completion_tokens or tokens_in(said)


def tokens_in(characters: int) -> int:
    """About how many tokens so many characters are."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def _lean(fields: Payload) -> Payload:
    """Settings without the texts that may be in them: numbers stay, of the rest only that it was there."""
    return {name: value if isinstance(value, bool | int | float) else _shape(value) for name, value in fields.items()}


def _shape(value: Any) -> str:
    if isinstance(value, list | dict | str):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
