"""One choice being drawn: which tokens so far, what of it may be shown, and when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spiritsafe.teach.detokenize import Pieces, Released, TextStream
from spiritsafe.teach.sampling import Sampler, top_logprobs
from spiritsafe.teach.types import Candidate, Context, Delta, Finish, Processor, Sampling, Token

if TYPE_CHECKING:
    from torch import Tensor

Sink = Callable[[Delta | BaseException], None]


class Draw:
    """The state of one choice, apart from keys and values: so it can leave the batch and come back unchanged.

    ``limit`` is how many tokens may be drawn, ``ends`` are the ids of end tokens. Deltas, or the error
    that ended it, go to ``sink`` in the engine's thread. ``cancelled`` may be set from any thread.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        choice: int,
        *,
        limit: int,
        ends: frozenset[int],
        pieces: Pieces,
        sink: Sink,
        processors: Sequence[Processor] = (),
    ) -> None:
        self.prompt = prompt
        self.generated: list[int] = []
        self.cancelled = False
        self._choice = choice
        self._limit = limit
        self._ends = ends
        self._pieces = pieces
        self._sink = sink
        self._logprobs = sampling.logprobs
        self._sampler = Sampler(sampling, choice, processors)
        self._text = TextStream(pieces, sampling.stop)
        self._tokens: list[Token] = []
        self._released = 0

    def __len__(self) -> int:
        return len(self.prompt) + len(self.generated)

    def ids(self, start: int, stop: int) -> list[int]:
        """Part of the prompt followed by what was drawn."""
        prompt = len(self.prompt)
        return [*self.prompt[start:stop], *self.generated[max(start - prompt, 0) : max(stop - prompt, 0)]]

    def accept(self, logits: Tensor) -> bool:
        """Draw from ``logits`` (``[vocabulary]``, float32, used up), tell the sink; True when that was the last."""
        kept = logits.clone() if self._logprobs is not None else None
        token = self._sampler.draw(logits, Context(self.prompt, self.generated))
        self.generated.append(token)
        if token in self._ends:
            return self._tell(self._text.finish(), "stop")
        data = self._pieces[token]
        logprob: float | None = None
        top: tuple[Candidate, ...] = ()
        if kept is not None and self._logprobs is not None:
            logprob, top = top_logprobs(kept, token, self._logprobs, self._pieces.data)
        text = data.decode("utf-8", "replace")
        self._tokens.append(Token(id=token, text=text, data=data, logprob=logprob, top=top))
        released = self._text.push(token)
        if released.stopped:
            return self._tell(released, "stop")
        if len(self.generated) < self._limit:
            return self._tell(released, None)
        rest = self._text.finish()
        return self._tell(Released(released.text + rest.text, rest.tokens, rest.stopped), "length")

    def cancel(self) -> None:
        """Let go of it: the last delta says ``cancelled``."""
        self._tell(self._text.finish(), "cancelled")

    def fail(self, error: BaseException) -> None:
        """Hand the sink the error that ended it."""
        self._sink(error)

    def _tell(self, released: Released, finish: Finish | None) -> bool:
        tokens = tuple(self._tokens[self._released : released.tokens])
        self._released = max(self._released, released.tokens)
        if released.text or tokens or finish:
            self._sink(
                Delta(
                    choice=self._choice,
                    text=released.text,
                    tokens=tokens,
                    finish=finish,
                    prompt_tokens=len(self.prompt),
                    completion_tokens=len(self.generated),
                )
            )
        return finish is not None
