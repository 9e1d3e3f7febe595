"""A teacher that marks what it answers, for whoever asks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import Keyring, MarkKey
from spiritsafe.protect.marks.choice import choose
from spiritsafe.protect.marks.embed import MarkProcessor
from spiritsafe.protect.marks.types import ChoiceMark, Mark
from spiritsafe.teach.answers import Collector
from spiritsafe.teach.types import Access, Answer, Delta, Processor, Prompt, Sampling, Teacher, Tokenizer

if TYPE_CHECKING:
    from torch import Tensor


class KeyMarker:
    """Marks every answer under one key, whoever asks: a ``teach.types.Marker``."""

    def __init__(self, mark: Mark, key: MarkKey) -> None:
        self._mark = mark
        self._key = key
        self.mark_id = key.mark_id

    def of(self, teacher: Teacher, tenant: str | None) -> Teacher:
        """``teacher`` with the mark."""
        if isinstance(self._mark, ChoiceMark):
            return Chosen(teacher, self._mark, self._key)
        return Processed(teacher, (MarkProcessor(self._mark, self._key),))


def committed(keyring: Keyring, name: str) -> MarkKey:
    """The key of the newest epoch. Raises ``UsageError`` unless that epoch was committed for the mark ``name``."""
    newest = keyring.epochs()[-1:]
    if not newest or newest[0].mark != name:
        what = f"the newest key was committed for {newest[0].mark}" if newest else "no key was committed"
        raise UsageError(f"{what}, not for {name}", remedy=f"Commit it first: spiritsafe mark commit {name}.")
    return keyring.key(newest[0].epoch)


class Processed:
    """A teacher whose every answer is drawn with ``processors`` as well."""

    def __init__(self, teacher: Teacher, processors: Sequence[Processor]) -> None:
        self._teacher = teacher
        self._processors = tuple(processors)
        self.name = teacher.name
        self.terms_id = teacher.terms_id
        self.access: Access = teacher.access
        self.context_length = teacher.context_length
        self.tokenizer: Tokenizer | None = teacher.tokenizer

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        """See ``Teacher.generate``."""
        return self._teacher.generate(prompts, sampling, (*self._processors, *marks))

    def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        """See ``Teacher.stream``."""
        return self._teacher.stream(prompt, sampling, (*self._processors, *marks))

    def logits(self, ids: Sequence[int]) -> Tensor:
        """The teacher's own, without the mark."""
        return self._teacher.logits(ids)

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``Teacher.embed``."""
        return self._teacher.embed(texts)

    def close(self) -> None:
        """See ``Teacher.close``."""
        self._teacher.close()


class Chosen(Processed):
    """A teacher that answers several times for each answer served; needs nothing of it but text.

    Costs ``candidates`` times the drawing and holds an answer back until it is whole: streamed, it comes at once.
    At temperature 0 all candidates are one, and nothing is marked.
    """

    def __init__(self, teacher: Teacher, mark: ChoiceMark, key: MarkKey) -> None:
        super().__init__(teacher, ())
        self._mark = mark
        self._key = key

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        """See ``Teacher.generate``; each answer is the chosen one of its candidates."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        more = [msgspec.structs.replace(each, n=each.n * self._mark.candidates) for each in samplings]
        return [self._chosen(answers) for answers in self._teacher.generate(prompts, more, marks)]

    async def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        """See ``Teacher.stream``."""
        many = sampling.n * self._mark.candidates
        collector = Collector(many)
        async for delta in self._teacher.stream(prompt, msgspec.structs.replace(sampling, n=many), marks):
            collector.add(delta)
        for answer in self._chosen(collector.answers()):
            yield Delta(
                choice=answer.choice,
                text=answer.text,
                reasoning=answer.reasoning or "",
                tokens=answer.tokens,
                tool_calls=answer.tool_calls,
                finish=answer.finish,
                prompt_tokens=answer.prompt_tokens,
                completion_tokens=answer.completion_tokens,
            )

    def _chosen(self, answers: Sequence[Answer]) -> list[Answer]:
        size = self._mark.candidates
        groups = [answers[start : start + size] for start in range(0, len(answers), size)]
        best = [group[choose(self._mark, self._key.sip, [each.text for each in group])] for group in groups]
        return [msgspec.structs.replace(answer, choice=i) for i, answer in enumerate(best)]
