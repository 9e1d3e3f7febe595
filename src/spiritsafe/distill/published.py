"""The facts that costs are judged by: peaks of accelerators, and costs that were published."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import msgspec

from spiritsafe.distill.terms.match import words
from spiritsafe.errors import UsageError
from spiritsafe.settings import load_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One accelerator. ``bf16`` and ``fp8`` are dense teraFLOP/s, ``watts`` the board's limit."""

    name: str
    names: list[str]
    bf16: float
    watts: float
    source: str
    basis: Literal["read", "recollection, unverified"]
    fp8: float | None = None
    read: date | None = None
    note: str | None = None


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What training a model is said to have taken; None where its makers do not say."""

    name: str
    names: list[str]
    source: str
    params_active: float | None = None
    tokens: float | None = None
    gpu: str | None = None
    gpus: int | None = None
    hours: float | None = None
    price: float | None = None
    reported: float | None = None


class _Gpus(msgspec.Struct, frozen=True):
    gpus: list[Gpu]


class _All(msgspec.Struct, frozen=True):
    published: list[Published]


@cache
def gpus() -> tuple[Gpu, ...]:
    """Every accelerator that is known."""
    return tuple(load_text(_text("gpus.yaml"), _Gpus, where="gpus.yaml").gpus)


@cache
def published() -> tuple[Published, ...]:
    """Every published cost that is known."""
    return tuple(load_text(_text("published.yaml"), _All, where="published.yaml").published)


def gpu(name: str) -> Gpu:
    """The accelerator of that name, however it is written; raises ``UsageError`` with the known ones."""
    for one in gpus():
        if any(words(name) == words(n) for n in one.names):
            return one
    known = ", ".join(n for one in gpus() for n in one.names[:1])
    raise UsageError(f"the peak of {name!r} is not known", remedy=f"Known: {known}. Or give --peak in teraFLOP/s.")


def published_for(name: str) -> Published | None:
    """The published cost of the model ``name``: the entry with the longest name that ``name`` begins with."""
    asked = words(name.rsplit("/", 1)[-1])
    found = [(len(words(n)), p) for p in published() for n in p.names if _begins(asked, words(n))]
    return max(found, key=lambda f: f[0])[1] if found else None


def _begins(asked: Sequence[str], start: Sequence[str]) -> bool:
    return tuple(asked[: len(start)]) == tuple(start)


def _text(name: str) -> str:
    return (files("spiritsafe.distill") / "data" / name).read_text(encoding="utf-8")
