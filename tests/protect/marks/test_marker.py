from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import Keyring, MarkKey
from spiritsafe.protect.marks.choice import Choice, choose
from spiritsafe.protect.marks.embed import MarkProcessor
from spiritsafe.protect.marks.marker import Chosen, KeyMarker, Processed, committed
from spiritsafe.protect.marks.registry import mark
from spiritsafe.teach.types import Access, Answer, Delta, Processor, Prompt, Sampling, Tokenizer


class Talker:
    """A teacher that says which choice it is on, and remembers the processors it was given."""

    name = "talker"
    terms_id = "none"
    access: Access = "text"
    context_length: int | None = None
    tokenizer: Tokenizer | None = None

    def __init__(self) -> None:
        self.given: list[tuple[Processor, ...]] = []
        self.closed = False

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling], marks: Sequence[Processor] = ()
    ) -> list[list[Answer]]:
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else sampling
        self.given.append(tuple(marks))
        return [[self.answer(p, i) for i in range(s.n)] for p, s in zip(prompts, samplings, strict=True)]

    @staticmethod
    def answer(prompt: Prompt, choice: int) -> Answer:
        text = f"to {prompt}: the still makes answer {choice} and the safe keeps it, says talker {choice * 7}"
        return Answer(choice=choice, text=text, finish="stop", completion_tokens=choice)

    async def stream(self, prompt: Prompt, sampling: Sampling, marks: Sequence[Processor] = ()) -> AsyncIterator[Delta]:
        self.given.append(tuple(marks))
        for choice in reversed(range(sampling.n)):
            yield Delta(choice=choice, text=self.answer(prompt, choice).text, finish="stop", completion_tokens=choice)

    def logits(self, ids: Sequence[int]) -> str:
        return "its own"

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]

    def close(self) -> None:
        self.closed = True


CHOICE = Choice(4, 2)


def test_of_several_answers_the_one_that_scores_highest_is_served(key: MarkKey) -> None:
    teacher = Chosen(Talker(), CHOICE, key)
    served = teacher.generate(["a", "b"], Sampling(n=2))
    for prompt, answers in zip("ab", served, strict=True):
        assert [answer.choice for answer in answers] == [0, 1]
        for place, answer in enumerate(answers):
            group = [Talker.answer(prompt, 4 * place + i).text for i in range(4)]
            assert answer.text == group[choose(CHOICE, key.sip, group)]


async def test_streamed_it_is_the_same_answer(key: MarkKey) -> None:
    teacher = Chosen(Talker(), CHOICE, key)
    deltas = [delta async for delta in teacher.stream("a", Sampling())]
    (answer,) = teacher.generate(["a"], [Sampling()])[0]
    assert [(d.choice, d.text, d.finish) for d in deltas] == [(0, answer.text, "stop")]
    assert deltas[0].completion_tokens == answer.completion_tokens


async def test_processors_are_added_to_those_of_the_caller(key: MarkKey) -> None:
    inner = Talker()
    mine, theirs = MarkProcessor(mark("kgw-k1-g0.25-d2"), key), MarkProcessor(mark("gumbel-k2"), key)
    teacher = Processed(inner, (mine,))
    teacher.generate(["a"], Sampling(), (theirs,))
    assert [each async for each in teacher.stream("a", Sampling(), (theirs,))]
    assert inner.given == [(mine, theirs)] * 2


def test_everything_else_is_the_teacher_s_own(key: MarkKey) -> None:
    inner = Talker()
    teacher = Chosen(inner, CHOICE, key)
    assert (teacher.name, teacher.terms_id, teacher.access) == ("talker", "none", "text")
    assert teacher.embed(["x"]) == [[1.0]]
    assert teacher.logits([1]) == "its own"
    teacher.close()
    assert inner.closed


@pytest.mark.parametrize(("name", "kind"), [("gumbel-k2", Processed), ("choice-n4-k2", Chosen)])
def test_a_marker_wraps_the_teacher_as_its_mark_needs(name: str, kind: type, key: MarkKey) -> None:
    marker = KeyMarker(mark(name), key)
    assert type(marker.of(Talker(), None)) is kind
    assert marker.mark_id == key.mark_id


def test_a_mark_must_have_been_committed_before_it_is_used(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    with pytest.raises(UsageError, match="no key was committed"):
        committed(keyring, "gumbel-k2")
    keyring.commit("gumbel-k2")
    assert committed(keyring, "gumbel-k2").mark_id == "gumbel-k2@1"
    keyring.commit("kgw-k1-g0.25-d2")
    with pytest.raises(UsageError, match="committed for kgw"):
        committed(keyring, "gumbel-k2")
