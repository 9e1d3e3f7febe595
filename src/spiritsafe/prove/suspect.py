"""What a suspect is: a model that is asked, scored and never trusted. ``open_suspect`` opens one by its spec.

A forensic test speaks to a ``Suspect`` and to nothing else, so that a kept transcript (``transcript``) can stand in
for the model when somebody recomputes the test years later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from spiritsafe.errors import UsageError
from spiritsafe.teach.types import Access, Prompt, Sampling, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Ending = Literal["stop", "length", "tool_calls", "content_filter", "cancelled", "refused"]
"""Why a reply ended; ``refused`` where the server would not take the request at all, and there is no text."""

ORDER: tuple[Access, ...] = ("text", "logprobs", "weights")
"""Each access has all that the ones before it have."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer of a suspect, as it came. ``ids`` are the drawn tokens' ids in the suspect's own vocabulary, empty
    where it does not tell; ``logprobs`` are natural logarithms, one a token, empty where none were asked or given.
    ``trouble`` is what the server said when it refused.
    """

    text: str
    ending: Ending
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    trouble: str = ""


class Scored(msgspec.Struct, frozen=True):
    """How likely the suspect finds a given text after a prompt: the natural logarithm of each token's probability, in
    order, the tokens being the suspect's own. Empty where the text has no token or does not fit its context.
    """

    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """The logarithm of the whole text's probability."""
        return float(sum(self.logprobs))


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which model was asked. ``digest`` is the SHA-256 over the weights' files where they are here (the root of
    ``evidence.manifest``); a model behind an API has none and may be changed by its owner between two questions.
    """

    name: str
    kind: str
    digest: str | None = None


class Suspect(Protocol):
    """A model under investigation.

    ``access`` is what it gives: ``text`` answers only; ``logprobs`` also the probability of a given text;
    ``weights`` also every next-token distribution. ``tokenizer`` is None where it has none for us. ``chunk`` is how
    many questions it likes to be asked in one call, ``at_once`` how many calls it takes side by side.
    """

    identity: Identity
    access: Access
    tokenizer: Tokenizer | None
    chunk: int
    at_once: int

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """For each prompt, in order, ``sampling.n`` replies; one ``Sampling`` serves all, or one each.

        A prompt that the suspect will not take gives one ``refused`` reply. Raises ``ResourceError`` when it stops
        answering: ask again, and a journaled suspect goes on from where it was.
        """
        ...

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """For each (prompt, text), how likely the suspect finds that text as its answer to that prompt.

        Raises ``UsageError`` where access is to text alone.
        """
        ...

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """Teacher forcing: for each position of ``ids``, the token the suspect finds likeliest to come after it.

        Raises ``UsageError`` where access is not to weights.
        """
        ...

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Log-probabilities (natural), shape ``[len(ids), vocabulary]``: row i is for the token after ``ids[i]``.

        Too large to be kept in a transcript: a number that must be recomputed offline comes from ``score`` or
        ``likeliest``. Raises ``UsageError`` where access is not to weights.
        """
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


def gives(suspect: Suspect, wanted: Access) -> bool:
    """Whether the suspect's access is at least ``wanted``."""
    return ORDER.index(suspect.access) >= ORDER.index(wanted)


def lacking(suspect: Identity, access: Access, wanted: Access) -> UsageError:
    """The error for a question that needs more access than there is."""
    return UsageError(
        f"{suspect.name} gives {access}, and this needs {wanted}",
        remedy="Choose a test that needs less, or get hold of the weights: hf:FOLDER or gguf:FILE.",
    )


def open_suspect(spec: str, *, attempts: int = 8) -> Suspect:
    """Open the suspect that ``spec`` names: ``hf:FOLDER``, ``gguf:FILE``, ``smollm2`` or ``openai:URL#model``.

    ``attempts`` is how often a busy or failing server is asked before it counts as gone. Raises ``UsageError`` for
    an unknown scheme, ``InputError`` or ``ResourceError`` when the model can't be had.
    """
    scheme, _, rest = spec.partition(":")
    if scheme == "openai":
        from spiritsafe.prove.suspect_api import open_api  # noqa: PLC0415 - an HTTP client is loaded for an API alone

        return open_api(rest, attempts=attempts)
    if scheme in ("hf", "gguf", "smollm2"):
        from spiritsafe.prove.suspect_weights import open_weights  # noqa: PLC0415 - torch is loaded for weights alone

        return open_weights(spec)
    raise UsageError(f"{spec!r} is no suspect", remedy="Give one of: hf:FOLDER, gguf:FILE, smollm2, openai:URL#model.")
