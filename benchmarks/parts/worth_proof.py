"""What each instrument proves from a student alone. Everything a student says is kept, so a second run only reckons."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from parts.worth_harvest import Lesson, Sizes, bench_key, coins
from spiritsafe.protect.canaries import Canary, canary
from spiritsafe.protect.marks.detect import TooFewTokens
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.twins import Pair
from spiritsafe.prove import twins
from spiritsafe.prove.canaries import by_rank
from spiritsafe.prove.radioactivity import Asked, foreseen, heard, score
from spiritsafe.prove.radioactivity_open import open_radioactivity
from spiritsafe.prove.suspect import Reply, Scored, Suspect
from spiritsafe.prove.suspect_weights import WeightsSuspect, open_weights
from spiritsafe.prove.transcript import Journaled, Replayed
from spiritsafe.stats.result import Result
from spiritsafe.stats.types import FloatArray
from spiritsafe.teach.types import Chat, Options, Prompt, Sampling, Tokenizer

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SAMPLES = 2
CANARIES, TIMES, DECOYS = 4, 8, 99


class Found(NamedTuple):
    """One instrument's word: standard deviations above its null, log10 of p, and how much it rests on."""

    height: float
    log10_p: float
    n: int
    unit: str

    @classmethod
    def of(cls, result: Result) -> Found:
        """From a result, whose p-value may be too small for a float and then stands in its words alone."""
        said = " ".join(result.because)
        told = re.search(r"p = 10\^(-?[\d.]+)|log10 of the p-value is (-?[\d.]+)", said)
        log10_p = (
            float(next(part for part in told.groups() if part)) if told else math.log10(max(result.p_value, 1e-300))
        )
        return cls(result.statistic, log10_p, result.n, result.unit)


def opened(folder: Path, name: str) -> tuple[WeightsSuspect, Journaled]:
    """A student as a suspect, and the same with its transcript."""
    suspect = open_weights(f"hf:{folder / 'students' / name}", Options(threads=1, batch=64))
    suspect.chunk = 256
    said = folder / "said"
    said.mkdir(exist_ok=True)
    return suspect, Journaled(suspect, said / f"{name}.jsonl")


def replayed(folder: Path, name: str) -> Replayed | None:
    """What a student said, None if it was not asked."""
    path = folder / "said" / f"{name}.jsonl"
    return Replayed(path) if path.exists() else None


def pairs_of(plain: Sequence[Lesson]) -> list[Pair]:
    """The twins: the first two answers to each prompt."""
    return [
        Pair(
            pair_id=str(at),
            time=NOW,
            epoch="2026-11",
            messages=({"role": "user", "content": lesson.prompt},),
            answers=(lesson.answers[0].text, lesson.answers[1].text),
        )
        for at, lesson in enumerate(plain)
    ]


class AsDrawn:
    """The teacher as a reference: how likely it found each answer when it drew it."""

    def __init__(self, plain: Sequence[Lesson]) -> None:
        self._told = {(each.prompt, one.text): one for each in plain for one in each.answers}

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        found = []
        for prompt, text in pairs:
            assert isinstance(prompt, Chat)
            one = self._told[prompt.messages[-1]["content"], text]
            count = max(1, len(one.ids))
            found.append(Scored((-one.nats / count,) * count))
        return found


def by_logprobs(suspect: Suspect, plain: Sequence[Lesson], sizes: Sizes, *, reference: bool = True) -> Found:
    """Twins with log-probabilities, the teacher's taken out."""
    pairs = pairs_of(plain)
    reading = twins.by_likelihood(suspect, pairs, AsDrawn(plain) if reference else None)  # type: ignore[arg-type]
    return judged(twins.leanings(reading), reading, sizes)


def by_text(suspect: Suspect, plain: Sequence[Lesson], sizes: Sizes) -> Found:
    """Twins from text alone."""
    reading = twins.by_answers(suspect, pairs_of(plain), text(sizes), SAMPLES)
    return judged(twins.leanings(reading), reading, sizes)


def judged(lean: FloatArray, reading: twins.Reading, sizes: Sizes) -> Found:
    """What the leanings say under the coins."""
    values = twins.preferences(lean, coins(sizes)[: len(lean)])
    try:
        return Found.of(twins.judge(values, "a student", reading))
    except twins.TooFew:
        return Found(0.0, 0.0, int((values != 0).sum()), "pairs, too few")


def text(sizes: Sizes) -> Sampling:
    """How a suspect is let write."""
    return Sampling(temperature=sizes.temperature, max_tokens=sizes.tokens, seed=1)


def written(suspect: Suspect, prompts: Sequence[str], sizes: Sizes, samples: int = SAMPLES) -> Asked:
    """What a suspect writes by itself: with two answers each, those that the twins' test from text asks for."""
    asked = [Chat(({"role": "user", "content": prompt},)) for prompt in prompts for _ in range(samples)]
    each = [msgspec.structs.replace(text(sizes), seed=1 + at) for at in range(len(asked))]
    replies: list[tuple[Prompt, Reply]] = [
        (prompt, reply)
        for prompt, several in zip(asked, suspect.generate(asked, each), strict=True)
        for reply in several
    ]
    kept = [(prompt, one.text) for prompt, one in replies if one.ending != "refused" and one.text.strip()]
    return Asked(tuple(said for _, said in kept), (), len(replies) - len(kept), tuple(prompt for prompt, _ in kept))


def foretold(name: str, said: Asked, control: Suspect, tokenizer: Tokenizer | None) -> Found:
    """Radioactivity from what it wrote, beside a control that reads it."""
    scored = control.score(list(zip(said.prompts, said.texts, strict=True)))
    read = foreseen(mark(name), said, tokenizer, scored)
    assert read is not None
    return Found.of(score(mark(name), bench_key(name), read, subject="a student", need=100, decoys=99).exact)


def closed(name: str, said: Asked, control: Asked | None, tokenizer: Tokenizer | None, share: float = 1.0) -> Found:
    """Radioactivity from what it wrote, of which a ``share`` is read; against a control's answers where given."""

    def part(asked: Asked) -> Asked:
        return Asked(asked.texts[: round(share * len(asked.texts))], (), 0)

    try:
        read = heard(mark(name), part(said), tokenizer, None if control is None else part(control))
        found = score(mark(name), bench_key(name), read, subject="a student", need=100, decoys=99)
    except TooFewTokens as error:
        return Found(0.0, 0.0, error.have, "n-grams, too few")
    return Found.of(found.exact)


def windows(suspect: WeightsSuspect, lessons: Sequence[Lesson]) -> list[list[int]]:
    """Every answer after its prompt, in the suspect's tokens."""
    tokenizer, found = suspect.tokenizer, []
    assert tokenizer is not None
    for lesson in lessons:
        turn = [{"role": "user", "content": lesson.prompt}]
        before = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)  # type: ignore[attr-defined]
        ids = tokenizer.encode(before, add_special_tokens=False)
        found += [[*ids, *answer.ids] for answer in lesson.answers]
    return found


def opened_up(name: str, suspect: Suspect, controls: Sequence[Suspect], along: Sequence[Sequence[int]]) -> Found:
    """Radioactivity by teacher forcing along unmarked answers."""
    found = open_radioactivity(
        mark(name), bench_key(name), suspect, along, subject="a student", controls=controls, need=100, decoys=99
    )
    return Found.of(found.exact)


def birds() -> list[Canary]:
    """The canaries that are planted."""
    key = hashlib.sha256(b"what it is worth: canaries").digest()
    return [canary(key, f"bird {at}") for at in range(CANARIES)]


def by_canaries(suspect: Suspect) -> Found:
    """The planted codes' ranks among others."""
    return Found.of(by_rank(suspect, birds(), "a student", decoys=DECOYS))
