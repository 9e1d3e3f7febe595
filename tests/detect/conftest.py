"""Accounts made of numbers instead of text: what detection sees of honest tenants, and of a ring among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import numpy as np
import polars as pl
import pytest

from spiritsafe import settings
from spiritsafe.detect.account.elicitation_train import PHRASES, Phrases, expand
from spiritsafe.detect.calls import PARAMS
from spiritsafe.detect.features import SHARED, Batch, digest
from spiritsafe.record.sketch import Counts, SketchColumns

START = datetime(2026, 3, 2)  # noqa: DTZ001 - a Parquet log's times are UTC without saying so
Shares = dict[str, str]


@dataclass(frozen=True)
class Actor:
    """An account whose prompts lie around ``centre``; ``shares`` are its card, network and so on."""

    name: str
    centre: np.ndarray
    n: int
    shares: Shares = field(default_factory=dict)
    phrases: float = 0.0
    spread: float = 0.15


def columns(embedding: np.ndarray, template: np.ndarray, ids: Sequence[np.ndarray] | None = None) -> SketchColumns:
    """Sketches with these embeddings, template digests and n-gram buckets, and one word each."""
    n = len(embedding)
    ids = [np.zeros(0, dtype=np.uint16)] * n if ids is None else ids
    starts = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    flat = np.concatenate([*ids, np.zeros(0, dtype=np.uint16)]).astype(np.uint16)
    counts = Counts(starts, flat, np.ones(len(flat), dtype=np.uint8))
    numbers = np.ones(n, dtype=np.int64)
    small = np.zeros(n, dtype=np.int8)
    return SketchColumns(
        chars=numbers,
        lines=numbers,
        words=numbers,
        numbers=numbers * 0,
        marks=numbers * 0,
        script=small,
        language=small,
        digest=template,
        template=template,
        opening=template,
        closing=template,
        core=template,
        distinct=numbers,
        minhash=None,
        ngrams=counts,
        trigrams=None,
        embedding=embedding.astype(np.float16),
    )


@pytest.fixture(scope="session")
def sketches() -> Callable[..., SketchColumns]:
    return columns


@pytest.fixture(scope="session")
def actor() -> type[Actor]:
    return Actor


@pytest.fixture(scope="session")
def elicits() -> tuple[np.ndarray, np.ndarray]:
    """Buckets of a prompt that elicits, and of one that does not."""
    from spiritsafe.record.sketch import sketch_texts

    texts = ["Let's think step by step and write out the full chain of thought before the answer.", "what time is it"]
    held = sketch_texts(texts, parts=frozenset({"ngrams"})).ngrams
    assert held is not None
    return held.ids[held.starts[0] : held.starts[1]], held.ids[held.starts[1] : held.starts[2]]


@pytest.fixture(scope="session")
def batch_of(elicits: tuple[np.ndarray, np.ndarray]) -> Callable[..., Batch]:
    """One batch of all prompts of some actors, interleaved over ``days``."""

    def make(actors: Sequence[Actor], seed: int = 0, days: float = 14.0, start: float = 1.8e9) -> Batch:
        rng = np.random.default_rng(seed)
        owner = np.repeat(np.arange(len(actors)), [a.n for a in actors])
        centres = np.stack([a.centre for a in actors])[owner]
        spread = np.array([a.spread for a in actors])[owner, None]
        points = centres + spread * rng.normal(size=centres.shape)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        marked = rng.random(len(owner)) < np.array([a.phrases for a in actors])[owner]
        shared = np.zeros((len(owner), len(SHARED)), dtype=np.uint64)
        for column, (name, _) in enumerate(SHARED):
            values = np.array(
                [digest(name, a.shares[name]) if name in a.shares else 0 for a in actors], dtype=np.uint64
            )
            shared[:, column] = values[owner]
        order = rng.permutation(len(owner))
        template = rng.integers(1, 2**63, len(owner)).astype(np.uint64)
        return Batch(
            accounts=tuple(a.name for a in actors),
            owner=owner[order].astype(np.int64),
            seconds=start + np.sort(rng.random(len(owner))) * days * 86_400.0,
            prompts=columns(points[order], template[order], [elicits[0] if m else elicits[1] for m in marked[order]]),
            prompt=np.arange(len(owner), dtype=np.int64),
            shared=shared[order],
            models=("teacher",),
            model=np.zeros(len(owner), dtype=np.int64),
            params=np.full((len(owner), len(PARAMS)), np.nan, dtype=np.float32),
        )

    return make


@pytest.fixture(scope="session")
def centres() -> Callable[..., np.ndarray]:
    """Unit vectors: what different kinds of tenant ask about."""

    def make(n: int, seed: int = 0) -> np.ndarray:
        points = np.random.default_rng(seed).normal(size=(n, 256))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    return make


@pytest.fixture(scope="session")
def honest(centres: Callable[..., np.ndarray]) -> Callable[..., list[Actor]]:
    """Honest accounts, exchangeable: a kind at random, an amount at random, each a little its own."""

    def make(n: int, seed: int = 0, kinds: int = 6, prefix: str = "honest") -> list[Actor]:
        rng = np.random.default_rng([seed, 99])
        pool = centres(kinds, 7)
        made = []
        for i in range(n):
            own = pool[rng.integers(kinds)] + 0.03 * rng.normal(size=256)
            amount = int(np.clip(rng.lognormal(3.8, 0.8), 4, 400))
            shares = {"payment": f"card-{seed}-{i}", "ip_prefix": f"net-{seed}-{i}", "client": f"sdk-{rng.integers(5)}"}
            phrases = float(rng.beta(1, 30))
            made.append(Actor(f"{prefix}-{seed}-{i}", own / np.linalg.norm(own), amount, shares, phrases))
        return made

    return make


@pytest.fixture(scope="session")
def traffic() -> pl.DataFrame:
    """A log in words: 240 honest tenants of four kinds, four of them at one firm, and a ring of thirty on one card."""
    phrases = settings.load(PHRASES, Phrases)
    rng = Random(3)
    kinds = ("support", "agent", "code_question", "small_talk")
    record = phrases.elicit["record"] + phrases.elicit["hidden"]
    rows = []
    for i in range(270):
        ring = i >= 240
        payment = "card-ring" if ring else f"card-{i - i % 4 if i < 4 else i}"
        for n in range(30):
            template = rng.choice(record) if ring else f"{{{kinds[i % 4]}}} {{noun}} {{adjective}}"
            rows.append(
                {
                    "account_id": f"{'ring' if ring else 'honest'}-{i:03d}",
                    "time": START + timedelta(minutes=rng.randrange(14 * 1440)),
                    "model": "teacher-1",
                    "system": None,
                    "prompt": expand(template, phrases.rules, rng),
                    "ip_prefix": "net-ring" if ring else f"net-{i}",
                    "payment": payment,
                    "client": f"sdk-{i % 3}",
                    "exchange_id": f"e{i}-{n}",
                }
            )
    return pl.DataFrame(rows).sort("time")
