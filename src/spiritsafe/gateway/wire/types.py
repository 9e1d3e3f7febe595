"""What the house needs to know of a request and of its answer, whatever API they are spoken in."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from spiritsafe.record.exchange import Message

Payload = dict[str, Any]
"""A decoded JSON object of some API."""

Family = Literal["openai", "anthropic"]
"""Whose shape errors have."""


class Ask(msgspec.Struct, kw_only=True, gc=False):
    """One request. ``params`` are the settings that shaped the answer, ``extra`` what no field here knows.

    ``choices`` is how many answers were asked for; ``wants_usage`` whether a stream shall end with token
    counts; ``store`` whether the client wants to fetch the completion later; ``user`` its own word for whom
    it serves.
    """

    model: str | None
    stream: bool
    messages: tuple[Message, ...]
    system: str | None = None
    params: Payload = {}
    extra: Payload = {}
    choices: int = 1
    wants_usage: bool = True
    store: bool = False
    metadata: Payload = {}
    user: str | None = None


class ToolCall(msgspec.Struct):
    """A call that the model asks for; ``arguments`` is the text it wrote, JSON if it kept to the form."""

    id: str = ""
    name: str = ""
    arguments: str = ""
    kind: str = "function"


class Choice:
    """One of the answers to a request, put together from pieces."""

    __slots__ = ("calls", "finish", "reasoning", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.finish: str | None = None

    def call(self, index: int) -> ToolCall:
        """The tool call at ``index``, which streams may name before they fill it; bounded against nonsense."""
        while len(self.calls) <= min(index, 255):
            self.calls.append(ToolCall())
        return self.calls[min(index, 255)]


class Answer:
    """What an upstream said, heard whole or event by event. Token counts stay ``None`` until it gives them."""

    __slots__ = (
        "bare_usage",
        "choices",
        "completion_tokens",
        "error",
        "finished",
        "id",
        "model",
        "output",
        "over",
        "prompt_tokens",
        "reasoning_tokens",
        "unread",
    )

    def __init__(self) -> None:
        self.choices: dict[int, Choice] = {}
        self.id: str | None = None
        self.model: str | None = None
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.finished = 0
        """How many choices have said why they ended."""
        self.over = False
        """Whether the stream's own last event was heard: nothing follows it."""
        self.bare_usage = False
        """Whether the event heard last carried token counts and nothing else."""
        self.error: Payload | None = None
        """What the upstream said went wrong, in an answer that had begun well."""
        self.unread = 0
        """Events that were JSON but had not the expected form; forwarded, not understood."""
        self.output: Payload = {}
        """Other things worth keeping: embeddings' count, a stop sequence."""

    def choice(self, index: int) -> Choice:
        """The choice of that index, made when first heard of."""
        found = self.choices.get(index)
        if found is None:
            found = self.choices[index] = Choice()
        return found

    def finish(self, choice: Choice, reason: str) -> None:
        """Note why ``choice`` ended."""
        if choice.finish is None:
            self.finished += 1
        choice.finish = reason


class Dialect(Protocol):
    """One API as spoken: how to read its requests, hear its answers and take from them what is withheld."""

    name: str
    path: str
    family: Family

    def ask(self, body: Payload) -> Ask:
        """Read a request. Raises ``Fault`` for one that can't be served or recorded."""

    def read(self, data: bytes, ask: Ask, answer: Answer) -> None:
        """Read a whole answer. Raises one of ``read.UNREADABLE`` if it is no JSON; of JSON in another form little
        or nothing is heard.
        """

    def hear(self, data: bytes, ask: Ask, answer: Answer) -> bool:
        """Read one streamed event; true if the answer's end begins with it.

        Raises ``msgspec.DecodeError`` if it is no JSON.
        """

    def withhold(self, payload: Payload) -> bool:
        """Take logprobs and reasoning out of a whole answer or a streamed event, in place.

        False if nothing is left of an event that is worth sending.
        """


class Stream(Protocol):
    """A chat stream on its way into another API."""

    def event(self, data: bytes) -> bytes:
        """The spoken API's events for one event of the chat stream; perhaps none yet."""

    def close(self) -> bytes:
        """What ends the answer. It leaves only once the exchange is recorded."""


class Translation(Protocol):
    """One request of another API, spoken to an upstream that knows chat completions only."""

    def request(self) -> Payload:
        """The chat request. Raises ``Fault`` for what chat completions can't express."""

    def whole(self, payload: Payload) -> Payload:
        """A chat answer in the spoken API's shape."""

    def stream(self) -> Stream:
        """The same for a streamed answer."""
