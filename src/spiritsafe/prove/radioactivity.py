"""Was a model trained on marked answers? What it writes by itself is scored with the key.

Source: Sander et al. (2024), "Watermarking makes language models radioactive", its closed form. What is scored is the
suspect's distinct n-grams. Nothing is left out by a rule that looks at the key or at marked text: leaving out n-grams
seen in training selects by their colour and ruins the null. Four ways to weigh the same n-grams, each with an exact
null; a protocol commits to one beforehand:

    once        each counts one: the closed binomial or Gamma tail
    counted     by ln(1 + how often it came)
    controlled  by how much more often it came than in a control's answers, in Pearson residuals
    foreseen    by how much more often it came than a control that read the same answers foresaw, in Pearson residuals

What is asked is best what the marked answers were served to: a student shows most where it learnt. The questions know
nothing of the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import DECOYS, Detection, Found, Sequences, check_enough, encode, enough, judge
from spiritsafe.protect.marks.ngrams import grouped, ngrams, outside, tallied, without_contexts
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.marks.weighted import controlled, counted, judge_weighted
from spiritsafe.protect.prf import Words
from spiritsafe.prove.suspect import Reply, Scored, Suspect
from spiritsafe.stats.types import FloatArray
from spiritsafe.teach.types import Chat, Prompt, Sampling, Tokenizer

Weighing = Literal["once", "counted", "controlled", "foreseen"]

EFFECT = 0.1
"""Standard deviations that one n-gram of a student's text is taken to gain, when asking how many n-grams are enough."""

NULL = "The suspect was not trained on answers marked under this key: its text is independent of the key."
FLOOR = 1.0
"""Added to expected counts: residuals of what the control hardly ever wrote must not outweigh all others."""


class Asked(msgspec.Struct, frozen=True):
    """What a suspect wrote, each text with its prompt, and what it was shown that may itself carry the mark."""

    texts: tuple[str, ...]
    shown: tuple[str, ...]
    refused: int
    prompts: tuple[Prompt, ...] = ()


class Weighed(NamedTuple):
    """Distinct n-grams and their weights: all that is read of a suspect, under whatever key it is then scored.

    ``own`` are those that the suspect wrote, ``met`` counts repeats as well; ``because`` says what was left out.
    """

    rows: Words
    weights: FloatArray
    own: int
    met: int
    weighing: Weighing
    because: tuple[str, ...]


def ask(suspect: Suspect, prompts: Sequence[Prompt], sampling: Sampling) -> Asked:
    """Let the suspect write. Assistant turns inside prompts count as shown: they may be marked answers."""
    replies = suspect.generate(prompts, sampling)
    kept = [(prompt, one.text) for prompt, some in zip(prompts, replies, strict=True) for one in some if _answers(one)]
    return Asked(
        tuple(text for _, text in kept),
        tuple(turn for prompt in prompts for turn in _assistant(prompt)),
        sum(len(some) for some in replies) - len(kept),
        tuple(prompt for prompt, _ in kept),
    )


def heard(mark: Mark, asked: Asked, tokenizer: Tokenizer | None, control: Asked | None = None) -> Weighed:
    """What a suspect wrote, in the mark's units. ``tokenizer`` is that of the model that wrote the marked answers.

    ``control`` are answers to the same questions by a model that never met the key: the teacher without its mark, or
    a model of the suspect's kind. Without one each n-gram counts once.
    """
    return weighed(
        mark,
        encode(mark, asked.texts, tokenizer),
        seen=encode(mark, asked.shown, tokenizer),
        weighing="once" if control is None else "controlled",
        control=None if control is None else encode(mark, control.texts, tokenizer),
        because=(f"{len(asked.texts)} answers, {asked.refused} refused or empty",),
    )


def foreseen(mark: Mark, asked: Asked, tokenizer: Tokenizer | None, scored: Sequence[Scored]) -> Weighed | None:
    """What a suspect wrote, beside what a control thought of it: ``scored`` are its words on (prompt, text), in order.

    The control is a model that never met the key. Answers that it reads in other tokens than the mark's, or that do
    not fit its context, are left out; None where those are more than half: let such a control write (``heard``).
    """
    read = list(zip(encode(mark, asked.texts, tokenizer), scored, strict=True))
    kept = [(text, np.exp(one.logprobs)) for text, one in read if len(text) == len(one.logprobs)]
    missed = len(read) - len(kept)
    if missed > len(kept):
        return None
    because: tuple[str, ...] = (f"{len(read)} answers, {asked.refused} refused or empty",)
    if missed:
        because += (f"left out for want of a control that reads them in the mark's tokens: {missed} answers",)
    return weighed(
        mark,
        [text for text, _ in kept],
        seen=encode(mark, asked.shown, tokenizer),
        weighing="foreseen",
        chances=[chances for _, chances in kept],
        because=because,
    )


def weighed(
    mark: Mark,
    sequences: Sequences,
    *,
    seen: Sequences = (),
    weighing: Weighing = "once",
    control: Sequences | None = None,
    chances: Sequence[FloatArray] | None = None,
    because: tuple[str, ...] = (),
) -> Weighed:
    """What is scored of token (or word) sequences. ``seen`` are sequences that the suspect was shown and may be marked.

    ``chances`` are a control's probabilities of each token of each sequence, where it stands. Raises ``UsageError``
    for a control or chances without the weighing that needs them, or the other way round.
    """
    _check(weighing, control=control, chances=chances)
    sequences, seen = list(sequences), list(seen)
    every, shown = ngrams(sequences, mark.k), ngrams(seen, mark.k)
    left = outside(every, shown)
    rows, counts = tallied(every[left])
    own, met = rows.shape[0], every.shape[0]
    if texts := sum(len(text) > mark.k for text in seen):
        because += (f"n-grams whose context stood in one of {texts} texts that it was shown were left out",)
    if control is not None:
        other = without_contexts(ngrams(control, mark.k), shown)
        rows, weights = residuals(rows, counts, *tallied(other), floor=FLOOR)
    elif chances is not None:
        each = np.concatenate([np.empty(0), *(chance[mark.k :] for chance in chances)])
        weights = controlled(counts, tallied(every[left], each[left])[1], FLOOR)
    else:
        weights = counted(counts) if weighing == "counted" else np.ones_like(counts)
    return Weighed(rows, weights, own, met, weighing, because)


def score(
    mark: Mark,
    key: MarkKey,
    read: Weighed,
    *,
    subject: str,
    need: int | None = None,
    decoys: int = DECOYS,
    seed: int = 0,
) -> Detection:
    """Score what was read of a suspect. Raises ``TooFewTokens`` where there is too little distinct text."""
    check_enough(read.own, need if need is not None else enough(EFFECT), mark, subject)
    name = f"radioactivity closed {read.weighing} {key.mark_id}"
    found = Found(name, subject, NULL, read.own, read.met, read.because)
    if read.weighing == "once":
        return judge(mark, key, read.rows, found=found, decoys=decoys, seed=seed)
    return judge_weighted(mark, key, read.rows, read.weights, found=found, decoys=decoys, seed=seed)


def residuals(
    rows: Words, counts: FloatArray, other: Words, expected: FloatArray, *, floor: float
) -> tuple[Words, FloatArray]:
    """Rows of either side, each weighted by how much more often it came than the other side's share of its context."""
    both = np.concatenate([rows, other])
    merged, mine = tallied(both, np.concatenate([counts, np.zeros_like(expected)]))
    _, theirs = tallied(both, np.concatenate([np.zeros_like(counts), expected]))
    context = grouped(merged[:, :-1])
    met, known = (np.bincount(context, weights=each)[context].astype(np.float64) for each in (mine, theirs))
    share = np.divide(theirs, known, out=np.zeros_like(theirs), where=known > 0.0)
    return merged, controlled(mine, met * share, floor)


def _check(weighing: Weighing, *, control: object, chances: object) -> None:
    for needs, given, what in (("controlled", control, "answers"), ("foreseen", chances, "chances")):
        if (weighing == needs) != (given is not None):
            raise UsageError(
                f"weighing {weighing!r} {'needs' if given is None else 'does not take'} a control's {what}",
                remedy=f"Give a control's {what} with weighing {needs!r}, and with no other.",
            )


def _answers(reply: Reply) -> bool:
    return reply.ending != "refused" and bool(reply.text.strip())


def _assistant(prompt: Prompt) -> list[str]:
    if not isinstance(prompt, Chat):
        return []
    turns = [turn.get("content") for turn in prompt.messages if turn.get("role") == "assistant"]
    return [turn for turn in turns if isinstance(turn, str)]
