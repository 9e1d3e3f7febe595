"""What a report tells: an affair, as plain values in seconds from its start."""

from __future__ import annotations

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """A kind of account as the report's legend names it; ``ring`` marks the one that is not honest."""

    name: str
    about: str
    ring: bool = False


class Party(msgspec.Struct, frozen=True):
    """One account. ``kind`` is what it truly is, where that is known; ``caught`` whether a decision bound it."""

    party: str
    name: str
    kind: str
    caught: bool
    asked: int
    served: int
    refused: int
    failed: int
    tokens: int
    shares: tuple[str, ...] = ()
    log10_e: float | None = None
    worst: str = ""


class Asked(msgspec.Struct, frozen=True):
    """One request: when, by whom, what became of it. ``place`` is where in the corpus a harvested task lies."""

    at: float
    party: str
    outcome: str  # served | refused | failed
    place: int | None = None


class Wealth(msgspec.Struct, frozen=True):
    """What the bets against one subject's innocence were worth over time, as (seconds, log10 e)."""

    subject: str
    name: str
    group: str  # honest | member | ring
    points: tuple[tuple[float, float], ...]


class Link(msgspec.Struct, frozen=True):
    """Accounts that share one thing; ``kind`` says what."""

    kind: str
    accounts: tuple[str, ...]


class Quote(msgspec.Struct, frozen=True):
    """One exchange that weighs in a decision: when, by whom, what was asked where that is kept, and to which tests."""

    at: float | None
    party: str
    text: str | None
    by: tuple[str, ...]


class Ruling(msgspec.Struct, frozen=True):
    """One decision, as the store keeps it; ``again`` later ones of the same kind only added accounts to it.

    ``telling`` are the exchanges that weigh most in it, the weightiest first.
    """

    at: float
    subject: str
    action: str
    status: str
    rule: str
    by: str
    accounts: tuple[str, ...]
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]
    confirmed: float | None = None
    again: int = 0
    telling: tuple[Quote, ...] = ()


class Fact(msgspec.Struct, frozen=True):
    """A number that stands alone at the head of the page."""

    value: str
    label: str
    tone: str = ""  # "" | good | bad


class Check(msgspec.Struct, frozen=True):
    """One thing that was verified, and how it came out."""

    name: str
    passed: bool
    detail: str


class Affair(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a report shows. ``line`` is the log10 e that a subject has to cross, over
    time as (seconds, log10 e); ``corpus`` the tasks in all.
    """

    title: str
    verdict: str
    passed: bool
    summary: str
    made: str
    version: str
    seconds: float
    corpus: int
    line: tuple[tuple[float, float], ...]
    line_name: str
    kinds: tuple[Kind, ...]
    facts: tuple[Fact, ...]
    parties: tuple[Party, ...]
    asked: tuple[Asked, ...]
    wealth: tuple[Wealth, ...]
    links: tuple[Link, ...]
    rings: tuple[tuple[str, ...], ...]
    rulings: tuple[Ruling, ...]
    checks: tuple[Check, ...]
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
