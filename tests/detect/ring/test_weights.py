"""What a ring's own tests rest on is what is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spiritsafe.detect.cores import Cores
from spiritsafe.detect.features import SHARED, Batch, digest
from spiritsafe.detect.moments import Moments
from spiritsafe.detect.ring.weights import weights
from spiritsafe.detect.types import Finding, Link, LinkTable
from spiritsafe.stats.result import Exact, Result

NONE = np.zeros(0, dtype=np.int64)


def result(name: str, by: str = "hour") -> Result:
    return Result(
        name=name,
        version=1,
        subject="ring",
        null="none",
        statistic=1.0,
        p_value=0.5,
        log10_e=1.0,
        n=1,
        unit="accounts",
        effect=1.0,
        method=Exact(distribution=f"binomial tail of Fisher's z by the {by}, guarded"),
    )


def ring(accounts: Sequence[str], links: tuple[Link, ...] = ()) -> Finding:
    return Finding(subject="ring", subject_kind="ring", accounts=tuple(accounts), evidence=(), links=links)


def table(accounts: Sequence[str], **more: Any) -> LinkTable:
    return LinkTable(tuple(accounts), NONE, NONE, np.zeros(0, dtype=np.uint64), **more)


@pytest.fixture
def batch(actor: type[Any], batch_of: Callable[..., Batch], centres: Callable[..., np.ndarray]) -> Batch:
    """Ten exchanges each of two members."""
    return batch_of([actor(name, centres(1)[0], 10) for name in ("m0", "m1")])


def test_exchanges_that_show_the_shared_value_weigh_as_its_link_does(batch: Batch) -> None:
    card, net = digest("payment", "card"), digest("ip_prefix", "net")
    shared = np.zeros_like(batch.shared)
    columns = [name for name, _ in SHARED]
    shared[[3, 4], columns.index("payment")] = card
    shared[4, columns.index("ip_prefix")] = net
    links = tuple(
        Link(kind=kind, value=f"{value:016x}", accounts=("m0", "m1"), log10_e=worth)  # type: ignore[arg-type]
        for kind, value, worth in (("payment", card, 3.0), ("place", net, 2.0))
    )
    found = weights(
        result("infrastructure"), ring(["m0", "m1"], links), table(["m0", "m1"]), replace(batch, shared=shared)
    )
    assert found is not None
    assert found.nonzero()[0].tolist() == [3, 4]
    assert found[[3, 4]].tolist() == [3.0, 5.0]


def asked(pairs: Sequence[tuple[int, int]]) -> Cores:
    made = Cores()
    account, core = zip(*pairs, strict=True)
    made.learn(np.array(account, dtype=np.int64), np.array(core, dtype=np.uint64))
    return made


def test_questions_that_others_ask_and_one_member_asked_once_weigh(batch: Batch) -> None:
    """Of the members' questions 0 to 19 others ask 0 to 9; the second member asks 5 again."""
    core = np.arange(20, dtype=np.uint64)
    held = [(int(batch.owner[at]), at) for at in range(20)]
    again = (1 - int(batch.owner[5]), 5)
    others = [(2, core) for core in range(10)] + [(3, core) for core in (2, 3)] + [(3, 99)] * 1
    all_asked = asked([*held, again, *others])
    seen = replace(batch, prompts=replace(batch.prompts, core=core))
    found = weights(result("dealt"), ring(["m0", "m1"]), table(["m0", "m1", "o0", "o1"], cores=all_asked), seen)
    assert found is not None
    assert found.nonzero()[0].tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert sorted(np.argsort(-found)[:2].tolist()) == [2, 3]  # two others ask these


def test_questions_that_came_as_often_as_most_weigh(batch: Batch) -> None:
    core = np.arange(20, dtype=np.uint64)
    both = [(owner, at) for at in (4, 7, 9) for owner in (0, 1)]
    held = asked([*((int(batch.owner[at]), at) for at in range(20)), *both])
    seen = replace(batch, prompts=replace(batch.prompts, core=core))
    found = weights(result("samples"), ring(["m0", "m1"]), table(["m0", "m1"], cores=held), seen)
    assert found is not None
    assert found.nonzero()[0].tolist() == [4, 7, 9]


@pytest.mark.parametrize("by", ["hour", "day"])
def test_the_moments_that_a_ring_keeps_together_weigh_most(
    batch: Batch, honest_hours: Callable[..., np.ndarray], in_step: Callable[..., np.ndarray], by: str
) -> None:
    counts = np.concatenate([in_step(8, 1, by=by), honest_hours(40, 1)]).astype(np.int64)
    first = 20_000 * 24
    moments = Moments()
    account, day, hour = counts.nonzero()
    each = counts[account, day, hour]
    seconds = (first + day * 24 + hour) * 3600.0 + 60.0
    moments.learn(np.repeat(account, each).astype(np.int64), np.repeat(seconds, each))
    names = [*(f"m{i}" for i in range(8)), *(f"h{i}" for i in range(40))]
    # One exchange of the first member in each hour of the fortnight.
    hours = np.arange(14 * 24)
    n = len(hours)
    seen = replace(
        batch,
        owner=np.zeros(n, dtype=np.int64),
        seconds=(first + hours) * 3600.0 + 60.0,
        prompt=np.full(n, -1, dtype=np.int64),
    )
    found = weights(result("lockstep", by), ring(names[:8]), table(names, moments=moments), seen)
    assert found is not None
    sent = counts[1:8].sum(axis=0)
    sent = sent.ravel() if by == "hour" else np.repeat(sent.sum(axis=1), 24)
    assert sent[np.argsort(-found)[:24]].mean() > 1.25 * sent.mean()
    assert sent[int(found.argmax())] > np.quantile(sent, 0.8)
    assert (found >= 0.0).all()


def test_what_rests_on_no_exchange_names_none(batch: Batch) -> None:
    assert weights(result("amounts"), ring(["m0"]), table(["m0"]), batch) is None
    silent = weights(result("lockstep"), ring(["m0", "m1"]), table(["m0", "m1"], moments=Moments()), batch)
    assert silent is not None
    assert not silent.any()
