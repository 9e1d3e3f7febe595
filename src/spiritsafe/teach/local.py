"""A teacher whose weights are here: prompts in, the engine in the middle, answers out."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence, Sized
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import jinja2
import msgspec
import torch
from torch import Tensor

from spiritsafe.errors import InputError, UsageError
from spiritsafe.teach.answers import Collector
from spiritsafe.teach.constrain import Constrain
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.draw import Draw
from spiritsafe.teach.engine import Engine
from spiritsafe.teach.grammar import State, advance, forced, start
from spiritsafe.teach.kv import Slots
from spiritsafe.teach.sampling import check
from spiritsafe.teach.toolcalls import CallReader, check_tools, language, prepared
from spiritsafe.teach.types import (
    Access,
    Answer,
    Chat,
    ContextTooLong,
    Delta,
    Options,
    Processor,
    Prompt,
    Raw,
    Sampling,
    Tokenizer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Event = Delta | BaseException


class Plan(NamedTuple):
    """A prompt made ready: its ids, what its grammar has forced already, and the functions it may call."""

    ids: list[int]
    prefix: str
    state: State | None
    names: tuple[str, ...]


class LocalTeacher:
    """Serves any number of callers at once from one model; see ``engine`` for what a seed promises.

    ``model`` must have been loaded with ``kv.ATTENTION``.
    """

    access: Access = "weights"

    def __init__(
        self,
        *,
        name: str,
        terms_id: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        options: Options,
    ) -> None:
        self.name = name
        self.terms_id = terms_id
        self.context_length: int | None = int(model.config.max_position_embeddings)
        self.tokenizer: Tokenizer | None = cast(Tokenizer, tokenizer)
        self._context = int(model.config.max_position_embeddings)
        self._tokenizer = tokenizer
        self.dtype: torch.dtype = model.dtype
        self._model = model
        self._pieces = pieces(tokenizer)
        self._ends = _end_tokens(model, tokenizer)
        self._batch = options.batch
        self._engine = Engine(model, options, threads=options.threads or torch.get_num_threads())

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        """See ``Teacher.generate``. A few batches are under way at a time, however many prompts there are."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        if len(samplings) != len(prompts):
            raise UsageError(
                f"{len(prompts)} prompts and {len(samplings)} samplings", remedy="Give one sampling, or one a prompt."
            )
        events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()
        collectors = [Collector(each.n) for each in samplings]
        readers: dict[int, _Reader] = {}
        under_way: dict[int, list[Draw]] = {}
        waiting = iter(range(len(prompts)))
        try:
            while True:
                for index in _while_few(waiting, under_way, 4 * self._batch):
                    plan = self._plan(prompts[index])
                    readers[index] = _Reader(plan, samplings[index].n)
                    under_way[index] = self._submit(plan, samplings[index], marks, _tagged(events, index))
                if not under_way:
                    return [collector.answers() for collector in collectors]
                index, event = events.get()
                if isinstance(event, BaseException):
                    raise event
                if collectors[index].add(readers[index].read(event)):
                    del under_way[index], readers[index]
        finally:
            _cancel(draw for draws in under_way.values() for draw in draws)

    async def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        """See ``Teacher.stream``."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[Event] = asyncio.Queue()

        def sink(event: Event) -> None:
            # A loop that has ended has nobody left to tell.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(events.put_nowait, event)

        plan = self._plan(prompt)
        reader = _Reader(plan, sampling.n)
        draws = self._submit(plan, sampling, marks, sink)
        open_choices = sampling.n
        try:
            while open_choices:
                event = await events.get()
                if isinstance(event, BaseException):
                    raise event
                delta = reader.read(event)
                open_choices -= delta.finish is not None
                if delta.text or delta.tokens or delta.tool_calls or delta.finish:
                    yield delta
        finally:
            _cancel(draws)

    def logits(self, ids: Sequence[int]) -> Tensor:
        """See ``Teacher.logits``."""
        if not 0 < len(ids) <= self._context:
            raise InputError(
                f"{len(ids)} tokens; the context holds 1 to {self._context}", remedy="Give a piece that fits."
            )
        return self._outside(lambda: self._head(self._hidden(ids)).float().cpu())

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """The mean of the last hidden states, scaled to length 1. Untrained for search: a baseline, no more."""
        vectors: list[list[float]] = []
        for index, text in enumerate(texts):
            ids = self._fitting(self._tokenizer.encode(text), f"input[{index}]")
            mean = self._outside(partial(self._mean, ids))
            vectors.append((mean / mean.norm().clamp_min(1e-12)).tolist())
        return vectors

    def count(self, text: str) -> int:
        """How many tokens a text is."""
        return len(self._tokenizer.encode(text))

    def close(self) -> None:
        """See ``Teacher.close``."""
        self._engine.close()

    def _plan(self, prompt: Prompt) -> Plan:
        if isinstance(prompt, Raw):
            return Plan(self._fitting(self._tokenizer.encode(prompt.text), "prompt"), "", None, ())
        chat = Chat(({"role": "user", "content": prompt},)) if isinstance(prompt, str) else prompt
        check_tools(chat)
        symbol = language(chat)
        state = start(symbol) if symbol is not None else None
        fixed = forced(state) if state is not None else b""
        # Only whole characters can be put before the answer; the rest of the grammar stays with the state.
        prefix = fixed.decode("utf-8", "ignore")
        if state is not None:
            state = advance(state, prefix.encode())
        ids = self._tokenizer.encode(self._render(chat) + prefix, add_special_tokens=False)
        names = () if chat.tool_choice == "none" else tuple(tool["function"]["name"] for tool in chat.tools)
        return Plan(self._fitting(ids, "messages"), prefix, state, names)

    def _render(self, chat: Chat) -> str:
        template = self._tokenizer.chat_template
        if not template:
            raise InputError(
                f"{self.name} has no chat template", remedy="Ask it to continue a text (/v1/completions) instead."
            )
        knows_tools = "tools" in str(template)
        messages = prepared(chat, template_has_tools=knows_tools)
        tools: list[Any] | None = list(chat.tools) if knows_tools and chat.tool_choice != "none" else None
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tools=tools or None, tokenize=False, add_generation_prompt=True
            )
        except (jinja2.TemplateError, TypeError, KeyError) as error:
            raise InputError(
                f"the model's chat template refuses these messages: {error}",
                where="messages",
                remedy="Check the order of roles and that each message has content.",
            ) from error
        return str(text)

    def _fitting(self, ids: list[int], where: str) -> list[int]:
        if not ids:
            raise InputError("there is no token to go on from", where=where, remedy="Give some text.")
        if len(ids) >= self._context:
            raise ContextTooLong(
                f"{len(ids)} tokens; the context of {self.name} holds {self._context}, the answer included",
                where=where,
                remedy="Shorten it.",
            )
        return ids

    def _submit(
        self, plan: Plan, sampling: Sampling, marks: Sequence[Processor], sink: Callable[[Event], None]
    ) -> list[Draw]:
        check(sampling)
        limit = self._context - len(plan.ids)
        if sampling.max_tokens is not None:
            limit = min(limit, sampling.max_tokens)
        grammar = [Constrain(plan.state, self._pieces, self._ends, limit)] if plan.state is not None else []
        draws = [
            Draw(
                plan.ids,
                sampling,
                choice,
                limit=limit,
                ends=self._ends,
                pieces=self._pieces,
                sink=sink,
                processors=(*grammar, *marks),
            )
            for choice in range(sampling.n)
        ]
        self._engine.submit(draws)
        return draws

    def _outside(self, function: Callable[[], Tensor]) -> Tensor:
        """Run with the model in the engine's thread. The result is an ordinary tensor: a loss may be built on it."""

        def run() -> Tensor:
            with torch.inference_mode(False), torch.no_grad():
                return function()

        return self._engine.call(run).result()

    def _hidden(self, ids: Sequence[int]) -> Tensor:
        """Last hidden states, ``[len(ids), width]``."""
        model = self._model
        slots = Slots.of(model)
        slots.reserve(1, len(ids))
        window = slots.window(0, [0], len(ids))
        decoder: Any = model
        out = decoder.get_decoder()(
            input_ids=torch.tensor([list(ids)], device=model.device),
            position_ids=window.positions,
            use_cache=False,
            window=window,
        )
        hidden: Tensor = out.last_hidden_state[0]
        return hidden

    def _mean(self, ids: Sequence[int]) -> Tensor:
        return self._hidden(ids).float().mean(0).cpu()

    def _head(self, hidden: Tensor) -> Tensor:
        model: Any = self._model
        logits: Tensor = model.get_output_embeddings()(hidden)
        return logits


class _Reader:
    """Turns what the engine draws for one prompt into what the caller sees: the forced beginning, tool calls."""

    def __init__(self, plan: Plan, choices: int) -> None:
        self._prefix = [plan.prefix] * choices
        self._calls = [CallReader(plan.names) for _ in range(choices)] if plan.names else None
        self._called = [False] * choices

    def read(self, event: Delta) -> Delta:
        at = event.choice
        if not self._prefix[at] and self._calls is None:
            return event
        text, finish = self._prefix[at] + event.text, event.finish
        self._prefix[at] = ""
        if self._calls is None:
            return msgspec.structs.replace(event, text=text)
        text, calls = self._calls[at].push(text, final=finish is not None)
        self._called[at] = self._called[at] or bool(calls)
        if self._called[at] and finish in ("stop", "length"):
            finish = "tool_calls"
        return msgspec.structs.replace(event, text=text, tool_calls=tuple(calls), finish=finish)


def _tagged(events: queue.SimpleQueue[tuple[int, Event]], index: int) -> Callable[[Event], None]:
    return lambda event: events.put((index, event))


def _while_few(waiting: Iterator[int], under_way: Sized, most: int) -> Iterator[int]:
    while len(under_way) < most:
        index = next(waiting, None)
        if index is None:
            return
        yield index


def _cancel(draws: Iterable[Draw]) -> None:
    for draw in draws:
        draw.cancelled = True


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every id that ends an answer, by the model's generation settings and by its tokenizer."""
    declared = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = declared if isinstance(declared, list) else [declared]
    return frozenset(each for each in (*ids, tokenizer.eos_token_id) if isinstance(each, int))
