"""Radioactivity as a protocol runs it: prompts in, what the suspect writes is scored with the mark's key.

The inputs hold the tokenizer of the model that wrote the marked answers, for a mark that counts tokens: years later
the numbers must come out the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.protect.keys import VERSION, Commitment, key_of, opens
from spiritsafe.protect.marks.detect import TooFewTokens
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.types import Mark
from spiritsafe.prove.instruments.types import Options, Outcome
from spiritsafe.prove.radioactivity import Asked, Weighed, ask, foreseen, heard, score
from spiritsafe.prove.suspect import Reply, Suspect, gives
from spiritsafe.teach.types import Prompt, Sampling, Tokenizer

BESIDE = 99
"""Keys that marked nothing, drawn beside each judgement: the exact p-value needs none, and a protocol has its own."""


class Questions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked. ``first`` to ``last`` is when marked answers left. ``tokenizer`` is the text of a
    ``tokenizer.json``; a mark that counts words needs none.
    """

    prompts: tuple[str, ...]
    first: datetime
    last: datetime
    tokenizer: str | None = None


class Words:
    """A ``tokenizers`` tokenizer where the rooms expect ``teach.types.Tokenizer``."""

    eos_token_id: int | None = None

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer as Backend  # noqa: PLC0415 - loaded for marks that count tokens

        self._backend = Backend.from_str(text)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """The ids of a text."""
        return list(self._backend.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids."""
        return str(self._backend.decode(list(token_ids), skip_special_tokens=skip_special_tokens))

    def __len__(self) -> int:
        return int(self._backend.get_vocab_size())


class Radioactivity:
    """See ``Instrument``. A reference with log-probabilities weighs the n-grams by what it thinks of the suspect's
    answers. One of text alone or of other tokens, and any where ``access`` is ``text``, weighs them by its own answers.
    Without a reference each counts once.
    """

    unit = "prompts"

    def __init__(self, questions: Questions, options: Options) -> None:
        self._questions = questions
        self._options = options
        self._mark = mark(options.mark)
        self._epoch = int(options.epoch)
        self._tokenizer: Tokenizer | None = Words(questions.tokenizer) if questions.tokenizer else None
        self.n = len(questions.prompts)
        self.first: datetime | None = questions.first
        self.last: datetime | None = questions.last

    def opens(self, secret: bytes, digest: str) -> bool:
        """See ``Instrument.opens``."""
        said = Commitment(
            version=VERSION,
            kind="epoch",
            epoch=self._epoch,
            mark=self._options.mark,
            time=self._questions.first,
            digest=digest,
            before="",
        )
        return opens(said, secret)

    def measure(self, suspect: Suspect, reference: Suspect | None) -> Weighed:
        """See ``Instrument.measure``."""
        said = self._asked(suspect)
        reads = self._options.access != "text" and self._mark.unit == "tokens"
        if reference is not None and reads and gives(reference, "logprobs"):
            scored = reference.score(list(zip(said.prompts, said.texts, strict=True)))
            found = foreseen(self._mark, said, self._tokenizer, scored)
            if found is not None:
                return found
        control = None if reference is None else self._asked(reference)
        return heard(self._mark, said, self._tokenizer, control)

    def judge(self, measured: Any, secret: bytes, subject: str) -> Outcome:
        """See ``Instrument.judge``."""
        key = key_of(secret, self._options.mark, self._epoch)
        try:
            found = score(self._mark, key, measured, subject=subject, decoys=BESIDE, seed=self._options.seed)
        except TooFewTokens as error:
            return Outcome(main=None, words=error.message)
        beside = f"its rank among keys that marked nothing gives p = {found.decoys.p_value:.3g}"
        return Outcome(main=msgspec.structs.replace(found.exact, because=(*found.exact.because, beside)))

    def _asked(self, suspect: Suspect) -> Asked:
        options = self._options
        prompts = [prompt for prompt in self._questions.prompts for _ in range(options.samples)]
        sampling = Sampling(temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed)
        return ask(cast(Suspect, _Numbered(suspect)), prompts, sampling)


class _Numbered:
    """A suspect to whom each prompt of a call is put with a seed of its own."""

    def __init__(self, suspect: Suspect) -> None:
        self._suspect = suspect

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[list[Reply]]:
        first = sampling.seed or 0
        each = [msgspec.structs.replace(sampling, seed=first + at) for at in range(len(prompts))]
        return self._suspect.generate(prompts, each)


def open_radioactivity(path: Path, options: Options) -> Radioactivity:
    """Questions from a JSON file. Raises ``InputError`` for one that is none, ``UsageError`` for an unknown mark."""
    return Radioactivity(opened(path, options, Questions)[0], options)


Q = TypeVar("Q", bound=Questions)


def opened(path: Path, options: Options, kind: type[Q]) -> tuple[Q, Mark]:
    """Questions from a JSON file, and the mark that the options name. Raises what ``open_radioactivity`` does."""
    try:
        questions = msgspec.json.decode(path.read_bytes(), type=kind)
        int(options.epoch)
    except (msgspec.MsgspecError, ValueError) as error:
        raise InputError(
            f"it holds no questions for a mark: {error}",
            where=str(path),
            remedy="Give prompts, first and last, and in the options the mark's name and its epoch's number.",
        ) from error
    found = mark(options.mark)
    if found.unit == "tokens" and questions.tokenizer is None:
        raise InputError(
            f"{found.name} counts tokens, and there is no tokenizer",
            where=str(path),
            remedy="Put the text of the marked model's tokenizer.json into 'tokenizer'.",
        )
    return questions, found
