"""Findings made of numbers: a subject with one result a family."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spiritsafe.detect.types import Finding
from spiritsafe.stats.result import Evidence, Exact, Result


def item(family: str, log10_e: float, subject: str = "a") -> Evidence:
    return Evidence(
        family=family,
        result=Result(
            name=family,
            version=1,
            subject=subject,
            null="nothing",
            statistic=0.0,
            p_value=1.0,
            log10_e=log10_e,
            n=10,
            unit="prompts",
            effect=0.0,
            method=Exact(distribution="none"),
            because=(f"{family} was seen",),
        ),
    )


def made(
    subject: str, accounts: tuple[str, ...] | None = None, models: tuple[str, ...] = ("m",), **families: float
) -> Finding:
    who = accounts or (subject,)
    return Finding(
        subject=subject,
        subject_kind="ring" if accounts else "account",
        accounts=who,
        accused=who,
        models=models,
        evidence=tuple(item(family, log10_e, subject) for family, log10_e in families.items()),
    )


@pytest.fixture(scope="session")
def finding() -> Callable[..., Finding]:
    return made


@pytest.fixture(scope="session")
def evidence() -> Callable[..., Evidence]:
    return item
