"""A crowd of honest tenants, simulated without the model: what the detectors are calibrated on before the drill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from spiritsafe.drill.grammar import seeded
from spiritsafe.drill.tenants import KINDS
from spiritsafe.record.exchange import Exchange, Message

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
HOURS = 2.0
"""How long the simulated traffic lasts: longer than any drill, so that an account is compared over one period."""

FEWEST, MOST = 20, 64
"""Questions of one account."""

SORT = 60

TEAM = 3
"""Accounts that a company of coders or a campus of students has in common, in the crowd as in the drill."""


def crowd(seed: int, honest: Mapping[str, int], accounts: int) -> Iterator[Exchange]:
    """The exchanges of about ``accounts`` honest accounts, of the kinds and in the shares of ``honest``, by account.

    Their seeds have nothing in common with those of any scenario. There are no answers: detection reads prompts.
    Of each narrow sort there are ``SORT`` at least, whatever its share: an account is compared with its own sort,
    and a crowd too small to know the sort would take every narrow account for a stranger.
    """
    whole = sum(honest.values())
    counts = {kind: max(SORT * KINDS[kind].sorts, round(accounts * n / whole)) for kind, n in honest.items()}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    for number, kind in enumerate(kinds):
        rng = seeded(f"crowd/{seed}/{kind}/{number}")
        yield from _account(rng, kind, number)


def _account(rng: Random, kind: str, number: int) -> Iterator[Exchange]:
    team = number // TEAM
    payment = f"card-team-{team}" if kind == "coder" else f"card-{number}"
    place = f"net-{kind}-{team}" if kind in ("coder", "student") else f"net-{number}"
    client = rng.choice(KINDS[kind].clients)
    count = rng.randint(FEWEST, MOST)
    times = sorted(rng.uniform(0, HOURS * 3600) for _ in range(count))
    for nth, (at, ask) in enumerate(zip(times, islice(KINDS[kind].asks(rng), count), strict=True)):
        yield Exchange(
            exchange_id=f"crowd-{number}-{nth}",
            time=START + timedelta(seconds=at),
            account_id=f"crowd-{number}",
            model="teacher",
            system=ask.system,
            messages=(Message("user", ask.prompt),),
            payment=payment,
            ip_prefix=place,
            client=client,
        )
