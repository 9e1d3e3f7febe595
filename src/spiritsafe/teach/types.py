"""What a teacher is: how it is asked, what it answers, and the hook by which marks reach its logits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import msgspec

from spiritsafe.errors import InputError, ResourceError

if TYPE_CHECKING:
    from torch import Tensor

Access = Literal["text", "logprobs", "weights"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "cancelled"]
Stage = Literal["logits", "warped"]
Json = dict[str, Any]


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to draw answers.

    ``temperature`` 0 takes the likeliest token. ``max_tokens`` None means up to the end of the context.
    ``stop`` strings end an answer and are not part of it. ``seed`` fixes every draw: choice ``i`` of
    ``n`` has its own stream derived from ``(seed, i)``; None draws a fresh seed. ``logprobs`` None asks
    for none, 0 for the chosen tokens' alone, k for those of the k likeliest tokens as well. Logprobs are
    the model's own: before temperature, marks and top-p.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None


class Chat(msgspec.Struct, frozen=True):
    """A conversation in the form of OpenAI's chat messages, put through the model's own chat template.

    ``tools`` and ``tool_choice`` are OpenAI's; ``response_format`` likewise (``json_object``, ``json_schema``).
    """

    messages: tuple[Json, ...]
    tools: tuple[Json, ...] = ()
    tool_choice: str | Json | None = None
    response_format: Json | None = None


class Raw(msgspec.Struct, frozen=True):
    """Text to be continued as it stands, with no chat template."""

    text: str


Prompt = str | Chat | Raw
"""A plain ``str`` is one user message."""


class Candidate(msgspec.Struct, frozen=True):
    """A token that could have been drawn. ``id`` is None where the teacher does not tell."""

    id: int | None
    text: str
    data: bytes
    logprob: float


class Token(msgspec.Struct, frozen=True):
    """A token that was drawn. ``data`` are its bytes: ``text`` alone can't show half a character."""

    id: int | None
    text: str
    data: bytes
    logprob: float | None = None
    top: tuple[Candidate, ...] = ()


class ToolCall(msgspec.Struct, frozen=True):
    """A function the model asks to be called; ``arguments`` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What is new in one choice of a streamed answer; ``finish`` is set on a choice's last delta only.

    ``prompt_tokens`` and ``completion_tokens`` are totals so far, where known.
    """

    choice: int
    text: str = ""
    reasoning: str = ""
    tokens: tuple[Token, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer. ``reasoning`` is what a server tells apart from it; a local model's is part of its text.

    ``tokens`` are those that make up the text (and a tool call's), without the end token; empty where
    the teacher gives none. ``completion_tokens`` counts what was drawn, an end token included.
    """

    choice: int
    text: str
    reasoning: str | None = None
    tokens: tuple[Token, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class ContextTooLong(InputError):
    """A prompt leaves no room for an answer."""

    code = "context_length_exceeded"


class Unwell(ResourceError):
    """A teacher that may answer if it is asked again: busy, failing or out of reach.

    ``busy``: it says that it is asked too much. ``retry_after``: the seconds for which it wants to be left alone,
    None where it names none.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str,
        where: str | None = None,
        busy: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, where=where)
        self.busy = busy
        self.retry_after = retry_after


class Context(NamedTuple):
    """Where a token is about to be drawn: the prompt's ids, and those drawn so far. Both are read-only."""

    prompt: Sequence[int]
    generated: Sequence[int]


class Processor(Protocol):
    """A pure function of ``logits`` (one row, shape ``[vocabulary]``, float32) and its context.

    Temperature and top-p are processors; so is a mark and so is a grammar. ``stage`` says where it
    belongs: ``logits`` before temperature and top-p, ``warped`` after them. May change ``logits`` in
    place; a token at ``-inf`` is never drawn, and at least one must stay finite. Purity is what makes
    an answer independent of its neighbours in a batch and of a restart: a processor keeps no state.
    """

    @property
    def stage(self) -> Stage: ...

    def __call__(self, logits: Tensor, context: Context) -> Tensor: ...


class Tokenizer(Protocol):
    """The part of a tokenizer that the other rooms may rely on; a ``transformers`` fast tokenizer fits."""

    eos_token_id: int | None

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = ...) -> str: ...

    def __len__(self) -> int: ...


class Teacher(Protocol):
    """A model that can be asked.

    ``name`` is what it is called on the wire. ``terms_id`` is whose licence terms govern its answers
    (``spiritsafe terms`` takes it). ``tokenizer`` is None where access is not to weights.
    """

    name: str
    terms_id: str
    access: Access
    context_length: int | None
    tokenizer: Tokenizer | None

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        """For each prompt, in order, its ``sampling.n`` answers. One ``Sampling`` serves all, or one each.

        Raises InputError for a prompt that doesn't fit the context, Unwell when asking again may help,
        any other ResourceError when it won't, UsageError for ``marks`` on a teacher whose logits we don't have.
        """
        ...

    def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        """The same for one prompt, as it is drawn. Closing the iterator stops the drawing."""
        ...

    def logits(self, ids: Sequence[int]) -> Tensor:
        """Float32 logits of shape ``[len(ids), vocabulary]``: row i is for the token after ``ids[i]``.

        Raises UsageError where access is not to weights.
        """
        ...

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text. Raises UsageError where the teacher has no embeddings."""
        ...

    def close(self) -> None:
        """Stop its threads and free its memory; what is still being drawn ends as ``cancelled``."""
        ...


class Marker(Protocol):
    """Puts a mark on what a teacher answers; ``mark_id`` is what the record calls it."""

    @property
    def mark_id(self) -> str: ...

    def of(self, teacher: Teacher, tenant: str | None) -> Teacher:
        """``teacher``, marked for the tenant who asks, where it is known."""
        ...


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How an open model is run. ``threads`` None means one a core, or what OMP_NUM_THREADS says: two processes that
    take all cores each stall one another. ``batch`` is how many rows are decoded at once.

    ``kv_tokens`` bounds the memory for keys and values: rows times the longest row, in tokens; rows that no longer
    fit wait and are fed again. ``prefill_tokens`` is how much of new prompts is fed between two steps of decoding.
    ``device`` and ``dtype`` are torch's names; ``auto`` takes CUDA where there is one and bfloat16.
    ``attempts`` is how often a server that is busy or failing is asked before its error is raised.
    """

    threads: int | None = None
    batch: int = 32
    kv_tokens: int = 32768
    prefill_tokens: int = 256
    device: str = "auto"
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    attempts: int = 6


Opener = Callable[[str, Options], Teacher]
"""Opens what stands after the scheme in a teacher's spec; what a plug-in's entry point names."""
