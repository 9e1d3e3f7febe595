"""Can a claimed training cost be true: what it implies, against stated bounds, and what it leaves out."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from spiritsafe.distill.flops import FORWARD, TRAIN, forward, pretrain
from spiritsafe.distill.published import Gpu
from spiritsafe.errors import UsageError

TERA = 1e12
HOUR = 3600.0
DAY_HOURS = 24.0

# Utilisation of the bf16 peak that makers have published for large runs: GPT-3 .213, Megatron-Turing .302, Gopher
# .325, PaLM .462 (Chowdhery et al. 2022, table 3), Llama 3 .38 to .43 (Llama Team 2024, table 4), and .563 on a
# benchmark of Megatron-LM at a trillion parameters (its README).
LOWEST_PUBLISHED = 0.213
HIGHEST_PUBLISHED = 0.563
MONEY_TOLERANCE = 0.05

LEFT_OUT = (
    "runs that failed, experiments before, and models that were tried and dropped",
    "people, data, and answers bought or taken from other models",
    "owning the machines: the price is an hour's rent, and the cost moves in proportion to it",
    "attention over the context and routing, which 6ND does not count: the utilisation is a lower bound",
)

Outcome = Literal["plausible", "implausible", "undecided"]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says training took. ``hours`` are accelerator hours in all; ``price`` is for one of them.
    ``days`` is the claimed time on the wall. What is None was not said.
    """

    params_active: float | None = None
    tokens: float | None = None
    hours: float | None = None
    gpus: int | None = None
    price: float | None = None
    reported: float | None = None
    days: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise UsageError(f"{name} is {value}", remedy="Give a number above 0.")


class Teacher(msgspec.Struct, frozen=True, kw_only=True):
    """What a student's teacher would have put in: ``tokens`` that it wrote or scored, at ``price_per_million`` if they
    were bought, and ``reported`` for its own training.
    """

    params_active: float | None = None
    tokens: float | None = None
    price_per_million: float | None = None
    reported: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what it found, and which way it speaks."""

    check: str
    outcome: Outcome
    because: str


class Distilled(msgspec.Struct, frozen=True, kw_only=True):
    """What would have to be counted in if the student was distilled. ``assumed`` says what of it nobody claimed."""

    flops: float
    share_of_training: float
    hours: float | None
    money: float | None
    teacher_training: float | None
    total: float | None
    times_reported: float | None
    assumed: tuple[str, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim comes to. ``utilisation`` is of the dense bf16 peak, ``utilisation_fp8`` of the fp8 one."""

    verdict: Outcome
    findings: tuple[Finding, ...]
    flops: float | None
    hours: float | None
    utilisation: float | None
    utilisation_fp8: float | None
    money: float | None
    wall_days: float | None
    gpu: str | None
    peak_source: str | None
    left_out: tuple[str, ...]
    distilled: Distilled | None


def judge(claim: Claim, gpu: Gpu | None, teacher: Teacher | None = None) -> Judgement:
    """Work out what ``claim`` implies on ``gpu`` and judge it.

    One implausible check makes it implausible; else one undecided one makes it undecided, and so does a claim that
    leaves nothing to check.
    """
    hours = claim.hours
    if hours is None and claim.reported is not None and claim.price is not None:
        hours = claim.reported / claim.price
    flops = None
    if claim.params_active is not None and claim.tokens is not None:
        flops = pretrain(claim.params_active, claim.tokens)
    rate = None if flops is None or hours is None else flops / (hours * HOUR)
    used = None if rate is None or gpu is None else rate / (gpu.bf16 * TERA)
    used_fp8 = None if rate is None or gpu is None or gpu.fp8 is None else rate / (gpu.fp8 * TERA)
    money = None if claim.hours is None or claim.price is None else claim.hours * claim.price
    wall = None if hours is None or claim.gpus is None else hours / claim.gpus / DAY_HOURS
    findings = [
        *_utilisation(used, used_fp8, gpu),
        *_money(money, claim.reported),
        *_time(wall, claim.days),
    ]
    return Judgement(
        verdict=_verdict(findings),
        findings=tuple(findings) or (Finding(check="nothing", outcome="undecided", because="too little was claimed"),),
        flops=flops,
        hours=hours,
        utilisation=used,
        utilisation_fp8=used_fp8,
        money=money,
        wall_days=wall,
        gpu=None if gpu is None else gpu.name,
        peak_source=None if gpu is None else f"{gpu.source} ({gpu.basis})",
        left_out=LEFT_OUT,
        distilled=_distilled(claim, flops, hours, teacher),
    )


def _utilisation(used: float | None, used_fp8: float | None, gpu: Gpu | None) -> list[Finding]:
    if used is None or gpu is None:
        return []
    of_fastest = used if used_fp8 is None else used_fp8
    text = f"{used:.1%} of the bf16 peak" + ("" if used_fp8 is None else f" ({used_fp8:.1%} of the fp8 peak)")
    band = f"published large runs reach {LOWEST_PUBLISHED:.1%} to {HIGHEST_PUBLISHED:.1%} of bf16"
    if of_fastest > 1.0:
        return [_found("utilisation", "implausible", f"{text}: more than the {gpu.name} can do at any precision")]
    if of_fastest > HIGHEST_PUBLISHED:
        return [_found("utilisation", "implausible", f"{text}: more than any published run; {band}")]
    if used > HIGHEST_PUBLISHED:
        return [_found("utilisation", "undecided", f"{text}: only possible if most of it ran in fp8; {band}")]
    if used < LOWEST_PUBLISHED:
        return [
            _found("utilisation", "undecided", f"{text}: the hours hold more than this training, or ran badly; {band}")
        ]
    return [_found("utilisation", "plausible", f"{text}; {band}")]


def _money(money: float | None, reported: float | None) -> list[Finding]:
    if money is None or reported is None:
        return []
    text = f"hours times price is {money:,.0f}, reported are {reported:,.0f}"
    if money > reported * (1.0 + MONEY_TOLERANCE):
        return [_found("money", "implausible", f"{text}: less than its own hours cost")]
    if money < reported * (1.0 - MONEY_TOLERANCE):
        return [_found("money", "undecided", f"{text}: it holds something that is not said")]
    return [_found("money", "plausible", text)]


def _time(wall: float | None, days: float | None) -> list[Finding]:
    if wall is None or days is None:
        return []
    text = f"the hours take {wall:.1f} days on so many accelerators, claimed are {days:g}"
    if wall > days * (1.0 + MONEY_TOLERANCE):
        return [_found("time", "implausible", text)]
    return [_found("time", "plausible", text)]


def _found(check: str, outcome: Outcome, because: str) -> Finding:
    return Finding(check=check, outcome=outcome, because=because)


def _verdict(findings: list[Finding]) -> Outcome:
    outcomes = {f.outcome for f in findings}
    if "implausible" in outcomes:
        return "implausible"
    checked = {f.check for f in findings}
    return "undecided" if "undecided" in outcomes or "utilisation" not in checked else "plausible"


def _distilled(claim: Claim, flops: float | None, hours: float | None, teacher: Teacher | None) -> Distilled | None:
    """The teacher's part. Writing runs far below training's utilisation, so hours and money are lower bounds."""
    given, assumed = teacher or Teacher(), []
    params, tokens = given.params_active, given.tokens
    if params is None and claim.params_active is not None:
        params = claim.params_active
        assumed.append("a teacher as large as the student")
    if tokens is None and claim.tokens is not None:
        tokens = claim.tokens
        assumed.append("every training token written or scored by the teacher once")
    if params is None or tokens is None:
        return None
    extra = forward(params, tokens)
    share = extra / flops if flops else FORWARD / TRAIN
    extra_hours = None if hours is None or flops is None else hours * share
    money = None
    if given.price_per_million is not None:
        money = given.price_per_million * tokens / 1e6
    elif extra_hours is not None and claim.price is not None:
        money = extra_hours * claim.price
        assumed.append("the teacher run at the same price and utilisation as the training")
    base = claim.reported
    total = None if base is None or money is None else base + money + (given.reported or 0.0)
    return Distilled(
        flops=extra,
        share_of_training=share,
        hours=extra_hours,
        money=money,
        teacher_training=given.reported,
        total=total,
        times_reported=None if total is None or base is None else total / base,
        assumed=tuple(assumed),
    )
