"""What leaves with an answer, beside the answer: reasoning, log-probabilities, how many choices; by tenant and risk.

What each costs an honest user is said with it (``COSTS``); what each is worth against a student is another question
(``benchmarks/worth.py``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

Reasoning = Literal["shown", "summarised", "sealed", "withheld"]
Logprobs = Literal["shown", "coarse", "none"]
Json = dict[str, Any]

FLOOR = -10.0
"""Natural logarithm under which a coarse log-probability is not told apart."""

SUMMARY = 160

LISTED = re.compile(r"(^|[:;] )\d+$")
"""Before a full stop: it numbers a step and ends no sentence."""


class Cost(msgspec.Struct, frozen=True):
    """What a measure takes from an honest user: in words, and as measured."""

    words: str
    measured: str


COSTS: Mapping[str, Cost] = {
    "reasoning summarised": Cost(
        "the first sentence is left: enough to see what was understood, not why it was decided so",
        "53% of a step-by-step answer's bytes are left; its end, read after them, is 1.49 nats a token for .91",
    ),
    "reasoning sealed": Cost(
        "nothing is lost over several turns: the blob goes back unread; it can't be read or logged",
        "28 us to seal 2,000 bytes and 45 to open them; 1.39 times the bytes, 2 times of 200",
    ),
    "reasoning withheld": Cost(
        "nobody can check how an answer came about; a next turn starts without it",
        "15% of its bytes are left; its end, read after nothing, is 1.66 nats a token for .91",
    ),
    "logprobs coarse": Cost(
        "a token's is off by half a step at most, as long as it is above the floor",
        "by quarters of a nat a token's is off by .06 on average, an answer's mean by .011, its perplexity by 1.1%; of "
        "pairs of answers 99% are ranked alike; a classifier told 20 decides as before in .83 of cases, not .85",
    ),
    "top logprobs": Cost(
        "a label that is not among the likeliest has no score",
        "a classifier among four labels is right in .58 of cases with all log-probabilities, in .50 with 20, in .36 "
        "with 5; its calibration error is .11, .22 and .16",
    ),
    "logprobs none": Cost(
        "no confidence scores, no ranking by likelihood, no perplexity",
        "the likeliest token begins a label in .08 of the classifier's cases: in the others it decides nothing",
    ),
    "logprobs without logit_bias": Cost(
        "no scoring of forced choices; constrained choice by logit_bias alone still works",
        "all four labels are among the 20 likeliest tokens in .02 of the classifier's cases",
    ),
    "maximum n": Cost(
        "best-of-n above it takes several requests",
        "three answers at once take 9% less work than one by one",
    ),
}
"""Measured by ``benchmarks/release_costs.py`` on the embedded teacher in November 2026; the tables are in the log."""


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may leave. ``step`` is the grid of coarse log-probabilities in nats, ``top_logprobs`` and ``n`` are the
    most that are given. With ``logprobs`` in any form a request may carry no ``logit_bias``: together they read a
    model's whole distribution out token by token (Carlini et al. 2024, "Stealing part of a production model").
    """

    reasoning: Reasoning = "shown"
    logprobs: Logprobs = "shown"
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] = 20
    step: Annotated[float, msgspec.Meta(gt=0, le=5)] = 0.25
    n: Annotated[int, msgspec.Meta(ge=1)] = 128
    logit_bias_with_logprobs: bool = False


class Releases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which release holds for whom: a tenant's own, else the one for accounts that a decision is in force about
    (``watched``), else ``default``. A tenant's own is laid down by a person and goes before the rest.
    """

    default: Release = Release(logit_bias_with_logprobs=True)
    watched: Release | None = None
    tenants: dict[str, Release] = {}

    def of(self, account_id: str, *, watched: bool) -> Release:
        """The release for an account."""
        own = self.tenants.get(account_id)
        if own is not None:
            return own
        return self.watched if watched and self.watched is not None else self.default


def objection(release: Release, asked: Json) -> str | None:
    """Why a request can't be served under ``release``, in words for its sender; ``None`` if it can."""
    n = asked.get("n")
    if isinstance(n, int) and n > release.n:
        return f"n is {n}, and at most {release.n} answers are given"
    wants = bool(asked.get("logprobs")) or bool(asked.get("top_logprobs"))
    if wants and asked.get("logit_bias") and not release.logit_bias_with_logprobs:
        return "logprobs and logit_bias are not given together"
    return None


def coarse(logprob: float, step: float) -> float:
    """A log-probability on the grid: the nearest multiple of ``step``, none under ``FLOOR``, none above 0."""
    if math.isnan(logprob):
        return FLOOR
    return min(0.0, max(FLOOR, round(max(logprob, FLOOR) / step) * step))


def released_logprobs(told: Any, release: Release) -> Any:
    """The ``logprobs`` of a choice, chat or completions, as they may leave."""
    if told is None or release.logprobs == "none" or not isinstance(told, dict):
        return None
    if isinstance(told.get("tokens"), list):
        return _parallel(told, release)
    found = dict(told)
    for name in ("content", "refusal"):
        if isinstance(told.get(name), list):
            found[name] = [_token(one, release) for one in told[name] if isinstance(one, dict)]
    return found


def summary(reasoning: str) -> str:
    """The first sentence, at most 160 characters, and how much more there was."""
    text = " ".join(reasoning.split())
    ends = (found.end() for found in re.finditer(r"[.!?](?= )", text) if not LISTED.search(text[: found.start()]))
    end = next(ends, len(text))
    first = text[: min(end, SUMMARY)].rstrip()
    left = len(text) - len(first)
    return f"{first} [{left:,} more characters]" if left > 0 else first


def _token(one: Json, release: Release) -> Json:
    found = dict(one)
    if isinstance(one.get("logprob"), int | float):
        found["logprob"] = _told(float(one["logprob"]), release)
    tops = one.get("top_logprobs")
    if isinstance(tops, list):
        kept = [top for top in tops if isinstance(top, dict)][: release.top_logprobs]
        found["top_logprobs"] = [_token(top, release) for top in kept]
    return found


def _parallel(told: Json, release: Release) -> Json:
    """The form of completions: lists side by side."""
    found = dict(told)
    each = told.get("token_logprobs")
    if isinstance(each, list):
        found["token_logprobs"] = [None if one is None else _told(float(one), release) for one in each]
    tops = told.get("top_logprobs")
    if isinstance(tops, list):
        found["top_logprobs"] = [_few(top, release) if isinstance(top, dict) else None for top in tops]
    return found


def _few(top: Json, release: Release) -> Json:
    ranked = sorted(top.items(), key=lambda item: -float(item[1]))[: release.top_logprobs]
    return {name: _told(float(value), release) for name, value in ranked}


def _told(logprob: float, release: Release) -> float:
    return coarse(logprob, release.step) if release.logprobs == "coarse" else logprob
