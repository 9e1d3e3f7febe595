"""The test of canaries: does the suspect find the planted code likelier than codes that were never planted?

Under the null the code is uniform over its space and independent of the suspect, so the rank of its likelihood among
``decoys`` codes drawn beside it is uniform: an exact p-value for each canary, whatever the model. Several are put
together by Fisher's sum, which for discrete p-values errs on the safe side. From text alone: the suspect is given the
public beginning and its answers name so many codes; the chance that one of k distinct codes is the right one is
k / ``SPACE``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from random import Random

import msgspec

from spiritsafe.protect.canaries import SPACE, Canary, codes_in
from spiritsafe.prove.suspect import Suspect
from spiritsafe.stats.evalues import calibrate_mixture
from spiritsafe.stats.exact import gamma_upper
from spiritsafe.stats.logs import p_from_log10
from spiritsafe.stats.poisson_binomial import poisson_binomial_upper
from spiritsafe.stats.result import Exact, MonteCarlo, Result
from spiritsafe.teach.types import Raw, Sampling

NULL = "the suspect never read the planted sentences: each code is as likely to it as any other of its space"
DECOYS = 999


def by_rank(suspect: Suspect, birds: Sequence[Canary], subject: str, decoys: int = DECOYS, seed: int = 0) -> Result:
    """The rank test, for access to log-probabilities: ``decoys`` + 1 scores a canary."""
    began = time.perf_counter()
    ranks = [_rank(suspect, bird, decoys, seed) for bird in birds]
    found = ranked(ranks, decoys, subject, seed)
    return msgspec.structs.replace(found, seconds=time.perf_counter() - began)


def ranked(ranks: Sequence[int], decoys: int, subject: str, seed: int = 0) -> Result:
    """What ranks (1 for the likeliest) among ``decoys`` + 1 equally likely codes tell."""
    # -ln of a uniform p-value is exponential; their sum has a Gamma distribution.
    total = sum(-math.log(rank / (decoys + 1)) for rank in ranks)
    log10_p = gamma_upper(total, len(ranks)) if total > 0.0 else 0.0
    first = sum(rank == 1 for rank in ranks)
    exposure = math.log2(decoys + 1) - sum(math.log2(rank) for rank in ranks) / max(1, len(ranks))
    return Result(
        name="canaries by rank",
        version=1,
        subject=subject,
        null=NULL,
        statistic=total,
        p_value=p_from_log10(log10_p),
        log10_e=calibrate_mixture(log10_p),
        n=len(ranks),
        unit="canaries",
        effect=exposure,
        method=MonteCarlo(n=decoys, seed=seed),
        because=(
            f"{first} of {len(ranks)} planted codes are likelier than all {decoys} drawn beside them",
            f"mean exposure {exposure:.1f} of {math.log2(decoys + 1):.1f} bits",
            f"log10 of the p-value is {log10_p:.2f}",
        ),
    )


def by_naming(suspect: Suspect, birds: Sequence[Canary], subject: str, sampling: Sampling, samples: int = 8) -> Result:
    """The test from text alone: does it complete the public beginning with the code?"""
    began = time.perf_counter()
    codes = codes_named(suspect, [bird.opening for bird in birds], sampling, samples)
    found = named([bird.number for bird in birds], codes, samples, subject)
    return msgspec.structs.replace(found, seconds=time.perf_counter() - began)


def codes_named(suspect: Suspect, openings: Sequence[str], sampling: Sampling, samples: int) -> list[list[int]]:
    """The different codes that ``samples`` continuations of each opening name, in rising order."""
    first = sampling.seed or 0
    asked = [opening for opening in openings for _ in range(samples)]
    replies = suspect.generate(
        [Raw(opening) for opening in asked],
        [msgspec.structs.replace(sampling, n=1, seed=first + at) for at in range(len(asked))],
    )
    codes: list[set[int]] = [set() for _ in openings]
    for at, several in enumerate(replies):
        for reply in several:
            codes[at // samples].update(codes_in(reply.text))
    return [sorted(each) for each in codes]


def named(planted: Sequence[int], codes: Sequence[Sequence[int]], samples: int, subject: str) -> Result:
    """What it tells that these planted codes are, or are not, among those that were named for each canary."""
    chances = [len(each) / SPACE for each in codes if each]
    hits = sum(number in each for number, each in zip(planted, codes, strict=True))
    log10_p = poisson_binomial_upper(hits, chances) if hits else 0.0
    return Result(
        name="canaries by naming",
        version=1,
        subject=subject,
        null=NULL,
        statistic=float(hits),
        p_value=p_from_log10(log10_p),
        log10_e=calibrate_mixture(log10_p),
        n=len(planted),
        unit="canaries",
        effect=hits / max(1, len(planted)),
        method=Exact("Poisson binomial"),
        because=(
            f"{hits} of {len(planted)} planted codes are named in {samples} answers each",
            f"{sum(map(len, codes))} codes are named in all, of {SPACE:,} there are",
        ),
    )


def _rank(suspect: Suspect, bird: Canary, decoys: int, seed: int) -> int:
    """1 + the decoys that are found at least as likely; a decoy that happens to be the code counts as one."""
    dice = Random(f"{seed}:{bird.name}")  # noqa: S311 - decoys are published with the result
    texts = [bird.text, *(bird.with_code(dice.randrange(SPACE)) for _ in range(decoys))]
    opening = Raw(bird.opening)
    scores = [score.total for score in suspect.score([(opening, text[len(bird.opening) :]) for text in texts])]
    return 1 + sum(score >= scores[0] for score in scores[1:])
