"""The test of twins: does the suspect prefer what was served to what was withheld?

For each pair the suspect is measured on both answers, by slot, knowing nothing of the coin: how likely it finds them
(``by_likelihood``), or, from text alone, how likely a model made of its own answers finds them (``by_answers``). The
difference of the two, with the sign of the coin, is positive if the served one is preferred.

Why the p-value is exact. Let P be everything the test looks at but the coins: both answers of every pair by slot,
and what the suspect says. The coins are independent fair coins drawn before the answers. Under the null the suspect
never saw which answers were served, nor anything that followed from it; so P is independent of the coins, and given
P each difference has a fixed size and a sign that is a fair coin. Nothing is assumed of the teacher, the suspect,
the prompts or how they depend on one another. Every step that makes the differences sharper (``leanings``: taking out
what length or a reference model explains, weighing by how far the answers differ) is a function of P that changes its
sign when the slots of a pair are swapped, so it can cost power and never validity.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from spiritsafe.errors import InputError
from spiritsafe.protect.twins import Pair
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.overlap import Gram, Rarity, grams, said_again
from spiritsafe.prove.replies import Flag, flag, spelled, tally
from spiritsafe.prove.sign_flip import CoinBet, sign_flip
from spiritsafe.prove.suspect import Scored, Suspect
from spiritsafe.stats.intervals import clopper_pearson
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.result import Result
from spiritsafe.stats.types import BoolArray, FloatArray
from spiritsafe.teach.types import Chat, Sampling

NULL = "the suspect never saw which of the two answers was served: each was as likely to be the one it prefers"
FEWEST = 20
"""Pairs below which no p-value is given."""

WIDEST = 5.0
"""Deviations beyond which a difference counts no more: one odd answer must not drown a hundred."""


class TooFew(InputError):
    """There is not enough to test."""

    code = "too_few"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a suspect's measure says of each pair, one row a pair, by slot where there are two columns.

    ``values`` (n x 2) is the measure, higher for the preferred answer. ``explained`` (each n x 2) is what may explain
    it without any exposure. ``sizes`` (n) is how far the two answers differ, in units of the variance to be expected.
    ``usable`` (n) leaves out pairs that can't be compared, by rules that know no coin; ``notes`` say why.
    """

    measure: str
    values: FloatArray
    explained: tuple[FloatArray, ...]
    sizes: FloatArray
    usable: BoolArray
    notes: tuple[str, ...] = ()


def by_likelihood(suspect: Suspect, pairs: Sequence[Pair], reference: Suspect | None = None) -> Reading:
    """How likely the suspect finds each answer: the log-probability of all its tokens.

    ``reference`` is any model that never saw the coins, best the teacher: what it finds likely too tells nothing.
    """
    counts, totals = _scored(suspect, pairs)
    explained = [counts]
    usable = counts.min(axis=1) > 0
    if reference is not None:
        theirs, told = _scored(reference, pairs)
        explained += [told, theirs]
        usable &= theirs.min(axis=1) > 0
    missing = int(np.count_nonzero(~usable))
    return Reading(
        measure="log-probability" + (" against a reference" if reference is not None else ""),
        values=totals,
        explained=tuple(explained),
        sizes=_unlike(pairs),
        usable=usable & _differ(pairs),
        notes=(f"{missing} pairs left out: an answer has no score",) if missing else (),
    )


def by_answers(
    suspect: Suspect, pairs: Sequence[Pair], sampling: Sampling, samples: int = 2, reference: Suspect | None = None
) -> Reading:
    """How likely each answer is to a model of counts that read the suspect's own ``samples`` answers to all requests.

    Text alone is enough: a suspect's answers hold what it learnt, so a model of them prefers what it prefers, if less.
    Of that likelihood, what the answers' length and the rarity of their words explain is taken out. ``sampling.seed``
    numbers the draws; a ``reference`` is asked the same way.
    """
    own, flags = _asked(suspect, pairs, sampling, samples)
    texts = [tuple(grams(answer) for answer in pair.answers) for pair in pairs]
    rarity = Rarity(text for both in texts for text in both)
    counts, totals = _scored(_imitation(pairs, own), pairs)
    explained = [counts, _by_slot(texts, lambda text, _: rarity.mass(text))]
    if reference is not None:
        others, _ = _asked(reference, pairs, sampling, samples)
        explained.append(_scored(_imitation(pairs, others), pairs)[1])
    heard = np.array([bool(answers) for answers in own], dtype=np.bool_)
    return Reading(
        measure=f"likelihood by its own {samples} answers" + (" against a reference" if reference is not None else ""),
        values=totals,
        explained=tuple(explained),
        sizes=_unlike(pairs),
        usable=heard & _differ(pairs),
        notes=tally(flags),
    )


def by_continuations(
    suspect: Suspect, pairs: Sequence[Pair], sampling: Sampling, opening: int, samples: int = 1
) -> Reading:
    """How much of the rest of each answer the suspect says again when it is given the first ``opening`` words.

    Text alone is enough, from a server that lets an answer be begun. One that was learnt by heart goes on as it did;
    ``samples`` continuations are asked for each of the two answers.
    """
    halves = [tuple(_halves(answer, opening) for answer in pair.answers) for pair in pairs]
    prompts = [
        Chat((*pair.messages, {"role": "assistant", "content": beginning}))
        for pair, both in zip(pairs, halves, strict=True)
        for beginning, _ in both
    ]
    said, flags = _drawn(suspect, prompts, sampling, samples)
    own = [[grams(text) for text in texts] for texts in said]
    rests = [tuple(grams(rest) for _, rest in both) for both in halves]
    rarity = Rarity(rest for both in rests for rest in both)
    values = [[said_again(both[slot], own[2 * at + slot], rarity) for slot in (0, 1)] for at, both in enumerate(rests)]
    heard = [bool(own[2 * at]) and bool(own[2 * at + 1]) for at in range(len(pairs))]
    sizes = [sum(rarity.of(gram) ** 2 for gram in one | two) for one, two in rests]
    return Reading(
        measure=f"words said again in continuations after {opening} words",
        values=np.asarray(values, dtype=np.float64).reshape(-1, 2),
        explained=(_by_slot(rests, lambda rest, _: rarity.mass(rest)),),
        sizes=np.asarray(sizes, dtype=np.float64),
        usable=np.asarray(heard, dtype=np.bool_) & _differ(pairs),
        notes=tally(flags),
    )


def leanings(reading: Reading) -> FloatArray:
    """For each pair, how far the suspect leans to slot 0, 0 where it is not usable; swapping a pair's slots changes
    the sign of its own and nothing else.

    The slots' difference less what is explained (least squares without intercept, weighted by size: the coefficients
    are the same whichever way round the pairs stand), in units of its deviation, held within ``WIDEST``, and times
    the root of the pair's size: where the gain and the noise both grow with the length that differs, that is
    the sum of the log-likelihood ratio, the best there is.
    """
    use = reading.usable & (reading.sizes > 0)
    found = np.zeros(reading.values.shape[0])
    if not use.any():
        return found
    scale = np.sqrt(reading.sizes[use] / reading.sizes[use].mean())
    target = (reading.values[use, 0] - reading.values[use, 1]) / scale
    if reading.explained:
        columns = np.stack([(part[use, 0] - part[use, 1]) / scale for part in reading.explained], axis=1)
        coefficients, *_ = np.linalg.lstsq(columns, target, rcond=None)
        target = target - columns @ coefficients
    deviation = 1.4826 * float(np.median(np.abs(target))) or float(np.abs(target).max())
    if deviation > 0.0:
        found[use] = np.clip(target / deviation, -WIDEST, WIDEST) * scale
    return found


def preferences(lean: FloatArray, coins: Sequence[int]) -> FloatArray:
    """The leanings with the coins' signs: positive where the served answer is preferred."""
    return np.where(np.asarray(coins) == 0, lean, -lean)


def judge(values: FloatArray, subject: str, reading: Reading, *, name: str = "twins", seed: int = 0) -> Result:
    """The exact test of preferences. Raises ``TooFew`` for fewer than ``FEWEST`` pairs that can be compared."""
    began = time.perf_counter()
    compared = int(np.count_nonzero(values))
    if compared < FEWEST:
        raise TooFew(
            f"{compared} pairs can be compared, and {FEWEST} are the fewest: {FEWEST - compared} more are needed",
            remedy="Twin a larger share of requests, or wait for more.",
            where=subject,
        )
    found = sign_flip(values, seed=seed)
    won = int(np.count_nonzero(values > 0))
    bet = CoinBet().observe(values)
    return Result(
        name=name,
        version=1,
        subject=subject,
        null=NULL,
        statistic=found.statistic,
        p_value=p_from_log10(found.log10_p),
        log10_e=bet.log10,
        n=compared,
        unit="pairs",
        effect=won / compared,
        interval=clopper_pearson(won, compared),
        method=found.method,
        because=(
            f"the served answer is preferred in {won} of {compared} pairs, by {reading.measure}",
            f"log10 of the p-value is {found.log10_p:.2f}",
            f"of 9,999 random sign flips, as high in {round(found.flips_p * 10_000) - 1}",
            f"betting pair by pair, the wealth reached 10^{bet.log10_max:.2f}",
            *reading.notes,
        ),
        seconds=time.perf_counter() - began,
    )


def by_tenant(values: FloatArray, tenants: Sequence[str], subject: str, reading: Reading) -> list[Result]:
    """The same test for each tenant's pairs alone: whose answers the suspect was trained on. Tenants with too few
    pairs have no result; correct the rest for their number (``stats.holm``, ``stats.e_bh``).
    """
    names = np.asarray(tenants)
    found = []
    for tenant in sorted(set(tenants)):
        own = np.where(names == tenant, values, 0.0)
        if np.count_nonzero(own) >= FEWEST:
            found.append(judge(own, f"{subject} from {tenant}", reading, name="twins by tenant"))
    return found


def watched(
    read: Callable[[Sequence[Pair]], Reading],
    pairs: Sequence[Pair],
    coins: Sequence[int],
    alpha: float,
    block: int = 25,
) -> CoinBet:
    """Ask block by block, in the order of time, and stop as soon as the wealth is 1/``alpha`` or the pairs are used up.

    ``read`` measures pairs, such as ``by_likelihood`` with its suspect; of each block the differences are fixed, on
    what all pairs so far explain, before any of its coins is looked at. ``n`` of what comes back counts the pairs that
    were bet on. Rejecting at the stop errs with probability at most ``alpha`` (Ville's inequality).
    """
    bet = CoinBet()
    for start in range(0, len(pairs), block):
        seen = pairs[: start + block]
        lean = leanings(read(seen))[start:]
        bet = bet.observe(preferences(lean, coins[start : start + block]))
        if bet.log10 >= -math.log10(alpha):
            break
    return bet


def _scored(suspect: Suspect, pairs: Sequence[Pair]) -> tuple[FloatArray, FloatArray]:
    """Tokens and log-probabilities, each n x 2."""
    asked = [(Chat(pair.messages), answer) for pair in pairs for answer in pair.answers]
    scores: list[Scored] = suspect.score(asked)
    counts = np.array([len(score.logprobs) for score in scores], dtype=np.float64)
    totals = np.array([score.total for score in scores], dtype=np.float64)
    return counts.reshape(-1, 2), totals.reshape(-1, 2)


def _imitation(pairs: Sequence[Pair], answers: Sequence[Sequence[str]]) -> NgramSuspect:
    """A model of counts that read these answers to the pairs' requests."""
    model = Ngram()
    for pair, texts in zip(pairs, answers, strict=True):
        for text in texts:
            model.learn(spelled(Chat(pair.messages)), text)
    return NgramSuspect(model)


def _asked(
    suspect: Suspect, pairs: Sequence[Pair], sampling: Sampling, samples: int
) -> tuple[list[list[str]], list[Flag | None]]:
    """The suspect's fit answers to each pair's request, and what was wrong with the others."""
    return _drawn(suspect, [Chat(pair.messages) for pair in pairs], sampling, samples)


def _drawn(
    suspect: Suspect, prompts: Sequence[Chat], sampling: Sampling, samples: int
) -> tuple[list[list[str]], list[Flag | None]]:
    """The same for any prompts, each draw with a seed of its own."""
    first = sampling.seed or 0
    each = [msgspec.structs.replace(sampling, n=1, seed=first + at) for at in range(len(prompts) * samples)]
    replies = suspect.generate([prompt for prompt in prompts for _ in range(samples)], each)
    found: list[list[str]] = []
    flags: list[Flag | None] = []
    for at, prompt in enumerate(prompts):
        own = [reply for several in replies[at * samples : (at + 1) * samples] for reply in several]
        asked = str(prompt.messages[-1].get("content") or "") if prompt.messages else ""
        seen = [flag(reply, expected=asked) for reply in own]
        found.append([reply.text for reply, wrong in zip(own, seen, strict=True) if wrong is None])
        flags += seen
    return found, flags


def _by_slot(
    texts: Sequence[tuple[frozenset[Gram], ...]], measure: Callable[[frozenset[Gram], int], float]
) -> FloatArray:
    rows = [[measure(text, at) for text in both] for at, both in enumerate(texts)]
    return np.asarray(rows, dtype=np.float64).reshape(-1, 2)


def _unlike(pairs: Sequence[Pair]) -> FloatArray:
    """Characters after the beginning that the two answers share: before it both are equally likely."""
    sizes = [len(one) + len(two) - 2 * _shared(one, two) for one, two in (p.answers for p in pairs)]
    return np.asarray(sizes, dtype=np.float64)


def _differ(pairs: Sequence[Pair]) -> BoolArray:
    return np.array([pair.answers[0].strip() != pair.answers[1].strip() for pair in pairs], dtype=np.bool_)


def _shared(one: str, two: str) -> int:
    """Characters up to the first that differs."""
    return next((at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def _halves(text: str, opening: int) -> tuple[str, str]:
    """A text's first ``opening`` words, at most half of them, and the rest."""
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    cut = starts[min(opening, len(starts) // 2)] if len(starts) > 1 else len(text)
    return text[:cut].rstrip(), text[cut:]
