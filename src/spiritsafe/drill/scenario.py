"""Who takes part in the drill: the accounts, what they pay with, where they come from, what they are."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec

from spiritsafe.drill import ring
from spiritsafe.drill.crowd import TEAM
from spiritsafe.drill.grammar import seeded
from spiritsafe.drill.tenants import KINDS, Ask

RING = "ring"
RING_PAUSE = 2.0

CARD, NETWORKS = 5, 3
"""Ring members to a card, and networks that the ring has."""

RING_CLIENTS = ("openai-python/1.99", "openai-python/2.4")


class Actor(msgspec.Struct, frozen=True):
    """One account. ``kind`` is the truth, which nothing in the gateway or the record knows.

    ``address`` is the client's address as the trusted proxy reports it; ``share`` are the places in
    the corpus that a ring member asks for.
    """

    name: str
    kind: str
    payment: str
    address: str
    client: str
    seed: str
    pause: float
    share: tuple[int, ...] = ()


class Size(msgspec.Struct, frozen=True):
    """How big the affair is.

    ``exchanges`` end it, once the ring has been stopped for ``aftermath`` seconds. ``deadline`` (seconds of play)
    ends it in any case, and ``budget`` (seconds in all) cuts that short on a machine that was slow to begin.
    A laboratory with a grant asks ``lessons`` prompts, keeps ``layers`` of the teacher's layers and trains for
    ``schooling`` minutes. ``twinned`` is the share of requests that are answered twice: where it is above 0, what the
    ring got trains a student for ``epochs``, and the proof is conducted. ``brevity`` is the share of the usual length
    of answers, ``pace`` of the usual pauses, ``crowd`` how many simulated accounts the detectors are calibrated on.
    """

    honest: dict[str, int]
    members: int
    corpus: int
    fraction: float
    exchanges: int
    deadline: float
    budget: float
    brevity: float
    pace: float = 1.0
    aftermath: float = 25.0
    crowd: int = 2000
    lessons: int = 40
    layers: int = 12
    schooling: float = 0.75
    twinned: float = 0.0
    epochs: float = 3.0


QUICK = Size(
    honest={"person": 6, "coder": 3, "student": 3, "support": 2, "translator": 1, "evaluation": 1, "agent": 2},
    members=10,
    corpus=420,
    fraction=0.8,
    exchanges=800,
    deadline=280.0,
    budget=335.0,
    brevity=0.55,
    crowd=1200,
)
FULL = Size(
    honest={"person": 20, "coder": 9, "student": 9, "support": 5, "translator": 5, "evaluation": 3, "agent": 5},
    members=20,
    corpus=1200,
    fraction=0.75,
    exchanges=2400,
    deadline=1200.0,
    budget=1500.0,
    brevity=1.0,
    lessons=200,
    layers=20,
    schooling=4.0,
    twinned=0.6,
)


class Scenario(msgspec.Struct, frozen=True):
    """The cast and the corpus that the ring is after."""

    seed: int
    size: Size
    actors: tuple[Actor, ...]
    corpus: tuple[Ask, ...]

    def asks(self, actor: Actor) -> Iterator[tuple[Ask, int | None]]:
        """What ``actor`` sends, with the place in the corpus where it is harvest."""
        rng = seeded(actor.seed)
        if actor.kind == RING:
            tasks = [self.corpus[i] for i in actor.share]
            for ask, place in ring.asks(rng, tasks, self.size.fraction):
                yield ask, None if place is None else actor.share[place]
        else:
            for ask in KINDS[actor.kind].asks(rng):
                yield ask, None


def scenario(seed: int, size: Size) -> Scenario:
    """The cast for a seed. Names, cards and networks say nothing about the kind of an account."""
    rng = seeded(f"drill/{seed}")
    corpus = ring.corpus(seeded(f"corpus/{seed}"), size.corpus)
    kinds = [kind for kind, count in size.honest.items() for _ in range(count)] + [RING] * size.members
    names = _names(rng, len(kinds))
    cards = [f"card-{number:08d}" for number in rng.sample(range(10**8), len(kinds))]
    # 198.18.0.0/15 is set aside for tests (RFC 2544): 512 prefixes of /24 that belong to nobody.
    nets = [f"198.{18 + n // 256}.{n % 256}" for n in rng.sample(range(512), len(kinds))]
    shares = iter(ring.deal(size.corpus, size.members))
    actors, seen = [], dict.fromkeys((*size.honest, RING), 0)
    for kind, name, card, net in zip(kinds, names, cards, nets, strict=True):
        nth, seen[kind] = seen[kind], seen[kind] + 1
        payment, network = _shared(kind, nth, card, net, cards, nets, kinds)
        actors.append(
            Actor(
                name=name,
                kind=kind,
                payment=payment,
                address=f"{network}.{rng.randint(2, 250)}",
                client=rng.choice(RING_CLIENTS if kind == RING else KINDS[kind].clients),
                seed=f"{seed}/{name}",
                pause=size.pace * (RING_PAUSE if kind == RING else KINDS[kind].pause),
                share=next(shares) if kind == RING else (),
            )
        )
    rng.shuffle(actors)
    return Scenario(seed=seed, size=size, actors=tuple(actors), corpus=corpus)


def _shared(
    kind: str, nth: int, card: str, net: str, cards: list[str], nets: list[str], kinds: list[str]
) -> tuple[str, str]:
    """What an account shares with others of its kind, honestly or not.

    Three coders are a team: one card, one office. Three students sit on one campus network, with cards of
    their own. Ring members pay in groups of five and come from three networks
    that cross the groups, so that the whole hangs together though no one thing is common to all.
    """
    first = kinds.index(kind)
    if kind in ("coder", "student"):
        lead = first + nth - nth % TEAM
        return cards[lead] if kind == "coder" else card, nets[lead]
    if kind == RING:
        return cards[first + nth - nth % CARD], nets[first + nth % NETWORKS]
    return card, net


FIRST = (
    "amber", "brisk", "calm", "deft", "early", "frank", "gentle", "hazel", "idle", "jolly", "keen", "late", "mild",
    "noble", "odd", "plain", "quiet", "rare", "sober", "tidy", "upper", "vivid", "warm", "young", "zesty",
)  # fmt: skip
SECOND = (
    "adder", "bison", "crane", "dove", "egret", "finch", "gecko", "heron", "ibis", "jay", "kite", "lynx", "mole",
    "newt", "otter", "pike", "quail", "raven", "stoat", "tern", "urchin", "vole", "wren", "yak", "zebu",
)  # fmt: skip


def _names(rng: Random, count: int) -> list[str]:
    return rng.sample([f"{first}-{second}" for first in FIRST for second in SECOND], count)
