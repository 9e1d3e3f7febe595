"""Writing a cache: rows are gathered into parts, each whole before its name stands; the manifest comes last.

A writer that was killed is opened again with the same spec: it finds the parts that stand and says which keys they
hold, so that no row is asked of the teacher twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from spiritsafe.distill.cache.draw import likeliest, systematic
from spiritsafe.distill.cache.pack import Sample, Top, pack_sample, pack_top
from spiritsafe.distill.cache.types import MANIFEST, SPEC, Manifest, Part, Spec, Tokens, tokens_digest
from spiritsafe.errors import InputError, ResourceError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("tokens", pa.binary(16)),
        ("positions", pa.int32()),
        ("data", pa.large_binary()),
    ]
)


class CacheWriter:
    """Writes one cache; ``done`` are the keys that it holds already."""

    def __init__(self, folder: Path, spec: Spec, *, rows_per_part: int = 512) -> None:
        """Open ``folder`` for writing, new or where another writer of the same ``spec`` was stopped.

        Raises ``UsageError`` if what stands there is whole, or was begun with another spec.
        """
        if (folder / MANIFEST).exists():
            raise UsageError("the cache is whole", remedy="Read it, or give another folder.", where=str(folder))
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.spec = spec
        self._rows_per_part = rows_per_part
        self._rows: list[tuple[str, bytes, int, bytes]] = []
        _same_spec(folder, spec)
        for left in folder.glob(".*.tmp"):
            left.unlink()
        self._parts = [_part(path) for path in sorted(folder.glob("part-*.arrow"))]
        self.done = {key for path in sorted(folder.glob("part-*.arrow")) for key in _keys(path)}

    def add_logits(self, row: Tokens, logits: Tensor) -> None:
        """Keep the teacher's distribution at each answer token of ``row``; ``logits`` are (answer tokens, V).

        The offsets of the sample depend on the spec's seed and the row's key alone, not on the order of rows.
        """
        self._fits(row, len(logits), logits.shape[-1])
        spec = self.spec
        if spec.kind == "topk":
            self._append(row, pack_top(likeliest(logits, temperature=spec.temperature, k=spec.k), spec.vocabulary))
            return
        name = hashlib.blake2b(f"{spec.seed}:{row.key}".encode(), digest_size=16, person=b"spiritsafe-draws").digest()
        uniform = np.random.default_rng(int.from_bytes(name, "little")).random(len(logits))
        drawn = systematic(logits, uniform, temperature=spec.temperature, rounds=spec.rounds, distinct=spec.distinct)
        self._append(row, pack_sample(drawn, spec.vocabulary))

    def add_top(self, row: Tokens, ids: Sequence[Sequence[int]], logprobs: Sequence[Sequence[float]]) -> None:
        """Keep what an interface said of each answer token: its likeliest tokens and their logprobs."""
        if self.spec.kind != "topk":
            raise UsageError("this cache holds samples", remedy="They need all of the teacher's logits: add_logits.")
        lengths = np.array([len(x) for x in ids], dtype=np.int64)
        flat = np.array([i for x in ids for i in x], dtype=np.int64)
        values = np.array([v for x in logprobs for v in x], dtype=np.float32)
        if len(flat) != len(values) or (len(flat) and (flat.min() < 0 or flat.max() >= self.spec.vocabulary)):
            raise InputError(
                "ids and logprobs do not belong together, or an id is outside the vocabulary",
                remedy="Pass one logprob for each id, ids of the teacher's own tokenizer.",
                where=row.key,
            )
        self._fits(row, len(lengths), self.spec.vocabulary)
        self._append(row, pack_top(Top(lengths, flat, values), self.spec.vocabulary))

    def add_sample(self, row: Tokens, drawn: Sample) -> None:
        """Keep a sample that was drawn elsewhere."""
        if self.spec.kind != "sampled":
            raise UsageError("this cache holds likeliest tokens", remedy="Begin one of kind sampled.")
        self._fits(row, len(drawn.lengths), self.spec.vocabulary)
        self._append(row, pack_sample(drawn, self.spec.vocabulary))

    def flush(self) -> None:
        """Put what has been gathered on disk as a part."""
        if not self._rows:
            return
        keys, digests, positions, data = (list(column) for column in zip(*self._rows, strict=True))
        batch = pa.record_batch(
            [
                pa.array(keys, pa.string()),
                pa.array(digests, pa.binary(16)),
                pa.array(positions, pa.int32()),
                pa.array(data, pa.large_binary()),
            ],
            schema=SCHEMA,
        )
        path = self.folder / f"part-{len(self._parts):05d}.arrow"
        self._write(path, batch)
        self._parts.append(_part(path))
        self._rows = []

    def close(self) -> Manifest:
        """Write what is left and the manifest: from here on the cache is whole, and readers open it."""
        self.flush()
        manifest = Manifest(spec=self.spec, parts=tuple(self._parts))
        _put(self.folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        return manifest

    def _fits(self, row: Tokens, positions: int, vocabulary: int) -> None:
        if vocabulary != self.spec.vocabulary:
            raise InputError(
                f"logits over {vocabulary} tokens, the cache is over {self.spec.vocabulary}",
                remedy="Cut padding columns off, and take one teacher for one cache.",
                where=row.key,
            )
        if positions != len(row.ids) - row.start or row.start < 1:
            raise InputError(
                f"{positions} distributions for {len(row.ids) - row.start} answer tokens from {row.start}",
                remedy="Pass one for each answer token, taken at the token before it.",
                where=row.key,
            )
        if row.key in self.done:
            raise InputError("the row is in the cache already", remedy="Skip the keys in 'done'.", where=row.key)

    def _append(self, row: Tokens, data: bytes) -> None:
        self._rows.append((row.key, tokens_digest(row), len(row.ids) - row.start, data))
        self.done.add(row.key)
        if len(self._rows) >= self._rows_per_part:
            self.flush()

    def _write(self, path: Path, batch: pa.RecordBatch) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, SCHEMA) as file:
            file.write_batch(batch)
        _put(path, sink.getvalue())


def _same_spec(folder: Path, spec: Spec) -> None:
    path = folder / SPEC
    encoded = msgspec.json.format(msgspec.json.encode(spec), indent=1)
    if not path.exists():
        _put(path, encoded)
    elif path.read_bytes() != encoded:
        raise UsageError(
            "the cache was begun with another teacher, tokenizer or way of keeping it",
            remedy="Give another folder, or the same settings as before.",
            where=str(path),
        )


def _put(path: Path, data: bytes | pa.Buffer) -> None:
    """All of ``data`` under ``path``, or nothing."""
    aside = path.with_name(f".{path.name}.tmp")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        fd = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise ResourceError(
            f"the cache can't be written: {error.strerror}", remedy="Make room, then go on.", where=str(path)
        ) from error


def _batch(path: Path) -> pa.RecordBatch:
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)


def _keys(path: Path) -> list[str]:
    return list(_batch(path).column("key").to_pylist())


def _part(path: Path) -> Part:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    batch = _batch(path)
    positions = int(np.asarray(batch.column("positions"), dtype=np.int64).sum())
    return Part(file=path.name, rows=batch.num_rows, positions=positions, bytes=path.stat().st_size, digest=digest)
