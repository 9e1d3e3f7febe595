"""What detectors see of exchanges: sketches of what was asked, and digests of what accounts share. Never text."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from spiritsafe.detect.calls import PARAMS, Calls, params_of
from spiritsafe.detect.types import KINDS
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import VERSION, prompt_text
from spiritsafe.record.sketch import columns_of, join, read_sketch, sketch_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.texts import Texts
    from spiritsafe.detect.types import HashArray, IntArray, LinkKind, Rows
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.sketch import Part, SketchColumns, TextSketch

SHARED: tuple[tuple[str, LinkKind], ...] = (
    ("payment", "payment"),
    ("ip_prefix", "place"),
    ("network", "place"),
    ("client", "client"),
    ("system", "system"),
)
"""The columns by which accounts are linked, each with its kind of link."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some exchanges, in the order in which they happened.

    ``owner`` [n] indexes ``accounts``; ``seconds`` [n] is the time since 1970, NaN where unknown; ``prompt`` [n]
    indexes the rows of ``prompts`` (each text once), -1 where nothing was asked or nothing is kept of it;
    ``shared`` [n, len(SHARED)] holds digests of what accounts share, 0 for none; ``model`` [n] indexes ``models``;
    ``params`` are those of ``Calls``.
    """

    accounts: tuple[str, ...]
    owner: IntArray
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]]
    prompts: SketchColumns
    prompt: IntArray
    shared: np.ndarray[tuple[int, int], np.dtype[np.uint64]]
    models: tuple[str, ...]
    model: IntArray
    params: Rows

    def __len__(self) -> int:
        return len(self.owner)

    def calls(self) -> Calls:
        """The same exchanges as calls."""
        asked = np.append(self.prompts.digest, np.uint64(0))[self.prompt]
        return Calls(self.seconds, asked, self.params)


def from_exchanges(exchanges: Sequence[Exchange], parts: frozenset[Part], key: bytes = b"") -> Batch:
    """Read exchanges with their text, or with the sketch that was kept in its place, or with neither.

    ``key`` is the one with which the record keys its digests, so that both forms of one prompt agree.
    """
    accounts, models = _Names(), _Names()
    texts = _Names()
    stored: list[TextSketch] = []
    place = np.full(len(exchanges), -1, dtype=np.int64)
    for row, exchange in enumerate(exchanges):
        if exchange.version > VERSION:
            raise InputError(
                f"an exchange has version {exchange.version}, this program knows {VERSION}",
                remedy="Read it with a newer spiritsafe",
                where=exchange.exchange_id,
            )
        if exchange.sketch is not None:
            kept = read_sketch(exchange.sketch, exchange.exchange_id).prompt
            if kept is not None:
                stored.append(kept)
                place[row] = -1 - len(stored)
        elif (text := prompt_text(exchange)) is not None:
            place[row] = texts.number(text)
    fresh = sketch_texts(texts.names, key, parts=parts)
    place = np.where(place < -1, len(texts.names) - 2 - place, place)
    prompts = join([fresh, columns_of(stored)]) if stored and texts.names else columns_of(stored) if stored else fresh
    return Batch(
        accounts=(owner := [accounts.number(e.account_id) for e in exchanges], tuple(accounts.names))[1],
        owner=np.array(owner, dtype=np.int64),
        seconds=np.array([e.time.timestamp() for e in exchanges], dtype=np.float64),
        prompts=prompts,
        prompt=_asked(prompts, place),
        shared=np.array([_shared(e) for e in exchanges], dtype=np.uint64).reshape(len(exchanges), len(SHARED)),
        models=(model := [models.number(e.model or "") for e in exchanges], tuple(models.names))[1],
        model=np.array(model, dtype=np.int64),
        params=np.array([params_of(e) for e in exchanges], dtype=np.float32).reshape(len(exchanges), len(PARAMS)),
    )


def from_frame(frame: pl.DataFrame, parts: frozenset[Part], key: bytes = b"", texts: Texts | None = None) -> Batch:
    """Read rows of a Parquet log (``scan.columns`` says which it has), in the order given. With ``texts`` the column
    ``text`` holds the digest of what each row asked, null for nothing.
    """
    owner, accounts = _codes(frame.get_column("account_id"))
    model, models = _codes(_column(frame, "model", pl.String).fill_null(""))
    if texts is None:
        asked = _column(frame, "prompt", pl.String)
        _, first, inverse = np.unique(asked.hash().to_numpy(), return_index=True, return_inverse=True)
        prompts = sketch_texts([text or "" for text in asked.gather(first)], key, parts=parts)
        place = np.where(asked.is_not_null().to_numpy(), inverse, -1).astype(np.int64)
    else:
        prompts, place = texts.of(frame.get_column("text"))
    micros = _column(frame, "time", pl.Datetime("us")).cast(pl.Int64).cast(pl.Float64) / 1e6
    shared = [_digests(_column(frame, name, pl.String)) for name, _ in SHARED]
    return Batch(
        accounts=accounts,
        owner=owner,
        seconds=micros.fill_null(np.nan).to_numpy(),
        prompts=prompts,
        prompt=_asked(prompts, place),
        shared=np.stack(shared, axis=1) if len(frame) else np.zeros((0, len(SHARED)), dtype=np.uint64),
        models=models,
        model=model,
        params=np.stack([_number(frame, name) for name in PARAMS], axis=1),
    )


@functools.lru_cache(maxsize=1 << 18)
def digest(name: str, value: str) -> int:
    """64 bits of one value of one column, never 0."""
    found = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8, person=name.encode()).digest()
    return int.from_bytes(found, "little") or 1


def kind_index(column: int) -> int:
    """The index in ``KINDS`` of the kind of link that a column of ``Batch.shared`` makes."""
    return KINDS.index(SHARED[column][1])


class _Names:
    """Numbers strings in the order in which they first come."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        return list(self._numbers)

    def number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers))


def _shared(exchange: Exchange) -> list[int]:
    found = []
    for name, _ in SHARED:
        value = getattr(exchange, name)
        if name == "system" and value is None and exchange.sketch is not None:
            kept = read_sketch(exchange.sketch, exchange.exchange_id).system
            value = kept.digest.hex() if kept is not None and kept.chars else None
        found.append(digest(name, value) if value else 0)
    return found


def _asked(prompts: SketchColumns, place: IntArray) -> IntArray:
    """Leave out texts without a single word, number or mark."""
    units = np.append(prompts.words + prompts.numbers + prompts.marks, 0)
    return np.where(units[place] > 0, place, -1)


def _column(frame: pl.DataFrame, name: str, kind: pl.DataType | type[pl.DataType]) -> pl.Series:
    """A column, or nulls where the log has none."""
    if name in frame.columns:
        return frame.get_column(name).cast(kind, strict=False)
    return pl.Series(name, [None] * len(frame), dtype=kind)


def _number(frame: pl.DataFrame, name: str) -> Rows:
    """A column of numbers that ``rows`` has made sound, or NaN where the log has none."""
    if name not in frame.columns:
        return np.full(len(frame), np.nan, dtype=np.float32)
    return frame.get_column(name).cast(pl.Float32, strict=False).fill_null(np.nan).to_numpy()


def _codes(column: pl.Series) -> tuple[IntArray, tuple[str, ...]]:
    """Number the values of a column: codes [n] and the values."""
    values = column.unique(maintain_order=True)
    codes = column.replace_strict(values, np.arange(len(values)), return_dtype=pl.Int64)
    return codes.to_numpy(), tuple(values.to_list())


def _digests(column: pl.Series) -> HashArray:
    values = [value for value in column.unique().to_list() if value]
    made = np.array([digest(column.name, value) for value in values], dtype=np.uint64)
    found = column.replace_strict(values, pl.Series(made), default=0, return_dtype=pl.UInt64)
    return found.fill_null(0).to_numpy()
