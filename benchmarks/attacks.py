"""What is left of each proof after each attack, and of all together: one harvest that carries every measure at once.

    python benchmarks/attacks.py --prompts 400 --seeds 1 2 3

The teacher is a model of counts that read Python's own manual, and so are the students: what a test finds in them it
finds in a network that was trained long enough, but no number here is a network's. Each of a twin pair's answers is
one of four that a mark by choice picked, and 20 answers end in a canary. Smaller is better for the provider: medians
over the seeds of log10 p, and of the smallest p after Holm's correction over the four tests. ``nan``: too little text.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple

import numpy as np

from spiritsafe.protect import twins as drawn
from spiritsafe.protect.canaries import canary, placed
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.choice import choose
from spiritsafe.protect.marks.registry import mark
from spiritsafe.prove.instruments.canaries import Canaries, plant
from spiritsafe.prove.instruments.radioactivity import Questions, Radioactivity
from spiritsafe.prove.instruments.twins import Twins
from spiritsafe.prove.instruments.types import Options
from spiritsafe.prove.ngram import END, Ngram, NgramSuspect, pieces
from spiritsafe.stats import holm
from twins import Manual, pair_of, paraphrased

MARK, EPOCH = "choice-n4-k1", "2026-11"
TIME = datetime(2026, 11, 1, tzinfo=UTC)
BIRDS = 20
GUESSES = 200
TESTS = ("twins", "twins, text", "canaries", "radioactivity")

Rows = list[tuple[str, str]]
"""Prompts with the answers that a student learns."""


class Harvest(NamedTuple):
    """What left, and the four tests with their keys."""

    rows: Rows
    tests: dict[str, tuple[Any, bytes]]


def harvest(manual: Manual, prompts: int, seed: int) -> Harvest:
    """Answers to the manual's prompts as the safe would let them out."""
    dice = Random(seed)
    coins, codes, marks = (dice.randbytes(32) for _ in range(3))
    sip = key_of(marks, MARK, 1).sip
    asked = [manual.prompts[at % len(manual.prompts)] for at in range(prompts)]

    def chosen(prompt: str) -> str:
        answers = [manual.model.draw(prompt, dice, 60) for _ in range(4)]
        return answers[choose(mark(MARK), sip, answers)]  # type: ignore[arg-type]

    pairs = [pair_of(f"{seed}.{at}", prompt, (chosen(prompt), chosen(prompt))) for at, prompt in enumerate(asked)]
    birds = [canary(codes, f"{seed}.{n}") for n in range(BIRDS)]
    rows = [(prompt, drawn.served_text(pair, coins)) for prompt, pair in zip(asked, pairs, strict=True)]
    for n, bird in enumerate(birds):
        rows[n] = (rows[n][0], placed(rows[n][1], bird))
    options = Options(epoch=EPOCH, samples=2, max_tokens=60)
    questions = Questions(prompts=tuple(asked[:300]), first=TIME, last=TIME)
    text = Options(epoch=EPOCH, samples=2, max_tokens=60, access="text")
    tests: dict[str, tuple[Any, bytes]] = {
        "twins": (Twins(pairs, options), coins),
        "twins, text": (Twins(pairs, text), coins),
        "canaries": (Canaries(plant(birds, TIME), options), codes),
        "radioactivity": (Radioactivity(questions, Options(mark=MARK, epoch="1", samples=2, max_tokens=60)), marks),
    }
    return Harvest(rows, tests)


def learnt(*rows: Rows) -> Ngram:
    """A student of counts."""
    model = Ngram()
    for prompt, answer in [row for some in rows for row in some]:
        model.learn(prompt + "\n", answer)
    return model


class Pulled:
    """A student whose next word is weighed by ``mix`` of its own chance and a clean model's; see ``ATTACKS``."""

    def __init__(self, own: Ngram, clean: Ngram, mix: Callable[[float, float], float]) -> None:
        self._own, self._clean, self._mix = own, clean, mix
        self._known: dict[tuple[str, ...], dict[str, float]] = {}

    def logprobs(self, prompt: str, answer: str) -> list[float]:
        row, found = pieces(prompt), []
        for word in [*pieces(answer), END]:
            found.append(math.log(self._after(row).get(word, 1e-9)))
            row.append(word)
        return found

    def draw(self, prompt: str, dice: Random, longest: int) -> str:
        row = pieces(prompt)
        start = len(row)
        while len(row) - start < longest:
            after = self._after(row)
            word = dice.choices(list(after), weights=list(after.values()))[0]
            if word == END:
                break
            row.append(word)
        return "".join(row[start:])

    def _after(self, row: Sequence[str]) -> dict[str, float]:
        """Chances of the words that either model knows to follow."""
        last = tuple(row[-2:])
        if last not in self._known:
            words = sorted(self._own.following(last) | self._clean.following(last))
            chances = (((math.exp(m.logprob(last, w))) for m in (self._own, self._clean)) for w in words)
            weights = [self._mix(*pair) for pair in chances]
            total = sum(weights)
            self._known[last] = {word: each / total for word, each in zip(words, weights, strict=True)}
        return self._known[last]


def attacked(name: str, manual: Manual, rows: Rows, seed: int) -> Any:
    """The model that a thief ends with."""
    dice = Random(f"{seed}:{name}")
    other = [manual.prompts[(at * 7 + 3) % len(manual.prompts)] for at in range(9 * len(rows))]

    def clean(times: int) -> Rows:
        return [(prompt, manual.model.draw(prompt, dice, 60)) for prompt in other[: times * len(rows)]]

    match name:
        case "nothing":
            return learnt(rows)
        case "3 words in 10 replaced or dropped" | "6 words in 10 replaced or dropped":
            share = int(name[0]) / 10
            return learnt([(prompt, paraphrased(text, share, dice)) for prompt, text in rows])
        case "9 parts of clean data to 1":
            return learnt(rows, clean(9))
        case "clean training afterwards, which overwrites half":
            return Pulled(learnt(rows), learnt(clean(3)), lambda own, base: 0.5 * own + 0.5 * base)
        case "neutralised by a clean model's ratio":
            return Pulled(learnt(rows), learnt(clean(3)), lambda own, base: math.sqrt(own * base))
        case "all of that: paraphrase, 3 to 1, neutralised":
            words = [(prompt, paraphrased(text, 0.3, dice)) for prompt, text in rows]
            both = learnt(words, clean(3))
            return Pulled(both, learnt(clean(3)), lambda own, base: math.sqrt(own * base))
        case "framed: an innocent, a tenth slipped in":
            return learnt(clean(1), rows[: len(rows) // 10])
        case _:
            return learnt([(prompt, manual.model.draw(prompt, dice, 60)) for prompt, _ in rows])


ATTACKS = (
    "nothing",
    "3 words in 10 replaced or dropped",
    "6 words in 10 replaced or dropped",
    "9 parts of clean data to 1",
    "clean training afterwards, which overwrites half",
    "neutralised by a clean model's ratio",
    "all of that: paraphrase, 3 to 1, neutralised",
    "framed: an innocent, a tenth slipped in",
    "an innocent of the same prompts",
)


def judged(model: Any, teacher: NgramSuspect, tests: dict[str, tuple[Any, bytes]]) -> tuple[dict[str, float], float]:
    """log10 p of each test, and the chance of the best of as many guessed keys, corrected for their number."""
    found, guessed = {}, []
    for name, (instrument, key) in tests.items():
        measured = instrument.measure(NgramSuspect(model, "thief"), teacher)
        found[name] = _log10_p(instrument.judge(measured, key, "thief"))
        if name == "twins":
            keys = [bytes([n % 256, n // 256]) * 16 for n in range(GUESSES)]
            guessed = [10 ** _log10_p(instrument.judge(measured, each, "thief")) for each in keys]
    return found, min(1.0, min(guessed) * GUESSES)


def _log10_p(outcome: Any) -> float:
    return math.nan if outcome.main is None else math.log10(outcome.main.p_value)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    given.add_argument("--prompts", type=int, default=400)
    given.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    asked = given.parse_args()
    manual = Manual()
    print(f"{asked.prompts} prompts, seeds {asked.seeds}: median log10 p")
    print(f"{'attack':<50}" + "".join(f"{name:>15}" for name in (*TESTS, "together", "200 guesses")))
    for attack in ATTACKS:
        found: list[list[float]] = []
        for seed in asked.seeds:
            given_out = harvest(manual, asked.prompts, seed)
            logs, guessed = judged(attacked(attack, manual, given_out.rows, seed), manual.teacher, given_out.tests)
            made = [10 ** max(logs[t], -300.0) for t in TESTS if not math.isnan(logs[t])]
            best = min(float(p) for p in holm(made, 0.01).adjusted)
            found.append([*(logs[name] for name in TESTS), math.log10(best), math.log10(guessed)])
        print(f"{attack:<50}" + "".join(f"{each:15.2f}" for each in np.median(found, axis=0)), flush=True)


if __name__ == "__main__":
    main()
