"""Reading a cache at training speed: memory-mapped, decoded a batch at a time, and for its own tokens alone.

Training on wrong tokens is refused twice: the tokenizer must be the one the cache was made with, and each row's
tokens must be those that the teacher saw.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import torch

from spiritsafe.distill.cache.pack import Sample, Top, unpack_sample, unpack_top
from spiritsafe.distill.cache.types import MANIFEST, VERSION, Manifest, Tokens, tokens_digest
from spiritsafe.distill.losses.types import Sampled, TopK
from spiritsafe.errors import BrokenRecord, InputError


class CacheReader:
    """A whole cache, open for reading; ``manifest`` says what it holds."""

    def __init__(self, folder: Path, *, tokenizer: str, vocabulary: int, temperature: float) -> None:
        """Open the cache in ``folder`` for a student with the tokenizer of digest ``tokenizer`` and ``vocabulary``
        columns in its head, to be trained at ``temperature``.

        Raises ``InputError`` if it is not whole, or for another tokenizer, vocabulary or temperature.
        """
        self.folder = folder
        self.manifest = _manifest(folder)
        spec = self.manifest.spec
        for what, mine, asked in (
            ("tokenizer", spec.tokenizer, tokenizer),
            ("vocabulary", spec.vocabulary, vocabulary),
            ("temperature", spec.temperature, temperature),
        ):
            if mine != asked:
                raise InputError(
                    f"the cache was made with {what} {mine}, the student has {asked}",
                    remedy="Cache the teacher again for this student, or use the cross-tokenizer loss on its answers.",
                    where=str(folder),
                )
        self._at: dict[str, tuple[int, int]] = {}
        self._columns: list[tuple[pa.Array, np.ndarray, np.ndarray, memoryview]] = []
        for number, part in enumerate(self.manifest.parts):
            path = folder / part.file
            if not path.exists() or path.stat().st_size != part.bytes:
                raise BrokenRecord("a part is missing or cut", remedy="Write the cache again.", where=str(path))
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            data = batch.column("data")
            offsets = np.frombuffer(data.buffers()[1], dtype=np.int64)[data.offset : data.offset + len(data) + 1]
            content = memoryview(data.buffers()[2]) if data.buffers()[2] is not None else memoryview(b"")
            positions = np.asarray(batch.column("positions"))
            self._columns.append((batch.column("tokens"), positions, offsets, content))
            for i, key in enumerate(batch.column("key").to_pylist()):
                self._at[key] = (number, i)

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def __len__(self) -> int:
        return len(self._at)

    def verify(self) -> None:
        """Read every byte; raises ``BrokenRecord`` naming the first part that is not what was written."""
        for part in self.manifest.parts:
            path = self.folder / part.file
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
            if found != part.digest:
                raise BrokenRecord("a part has other bytes", remedy="Write the cache again.", where=str(path))

    def samples(self, rows: Sequence[Tokens]) -> Sample:
        """The samples of ``rows``, one row's positions after the other's."""
        self._of_kind("sampled")
        vocabulary = self.manifest.spec.vocabulary
        parts = [unpack_sample(data, n, vocabulary) for data, n in map(self._find, rows)]
        return Sample(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def tops(self, rows: Sequence[Tokens]) -> Top:
        """The likeliest tokens at the positions of ``rows``, one row's after the other's."""
        self._of_kind("topk")
        vocabulary = self.manifest.spec.vocabulary
        parts = [unpack_top(data, n, vocabulary) for data, n in map(self._find, rows)]
        return Top(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def sampled(self, rows: Sequence[Tokens], device: str = "cpu") -> Sampled:
        """What ``losses.sampled_kl`` takes, for the answer positions of ``rows`` in order."""
        found = self.samples(rows)
        weights = found.counts / np.repeat(found.rounds, found.lengths)
        ids, weights = _padded(found.lengths, found.ids, 0), _padded(found.lengths, weights.astype(np.float32), 0.0)
        return Sampled(
            torch.from_numpy(ids).to(device),
            torch.from_numpy(weights).to(device),
            torch.from_numpy(found.entropy).to(device),
        )

    def topk(self, rows: Sequence[Tokens], device: str = "cpu") -> TopK:
        """What ``losses.topk_kl`` takes, for the answer positions of ``rows`` in order."""
        found = self.tops(rows)
        ids, logprobs = _padded(found.lengths, found.ids, -1), _padded(found.lengths, found.logprobs, 0.0)
        return TopK(torch.from_numpy(ids).to(device), torch.from_numpy(logprobs).to(device))

    def _find(self, row: Tokens) -> tuple[memoryview, int]:
        try:
            number, i = self._at[row.key]
        except KeyError as error:
            raise InputError(
                "the cache has no such row", remedy="Cache the rows that are trained on.", where=row.key
            ) from error
        tokens, positions, offsets, content = self._columns[number]
        if tokens[i].as_py() != tokens_digest(row):
            raise InputError(
                "the row's tokens are not those that the teacher saw",
                remedy="Its text, chat template or tokenizer has changed: cache the teacher again.",
                where=row.key,
            )
        return content[offsets[i] : offsets[i + 1]], int(positions[i])

    def _of_kind(self, kind: str) -> None:
        if self.manifest.spec.kind != kind:
            raise InputError(
                f"the cache holds {self.manifest.spec.kind}, not {kind}",
                remedy="Use the loss that fits it: topk_kl or sampled_kl.",
                where=str(self.folder),
            )


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise InputError(
            "there is no whole cache", remedy="Finish writing it: what is there is kept.", where=str(folder)
        ) from error
    except msgspec.MsgspecError as error:
        raise BrokenRecord(f"the manifest can't be read: {error}", remedy="Write it again.", where=str(path)) from error
    if manifest.spec.version != VERSION:
        raise InputError(
            f"a cache of version {manifest.spec.version}, this program reads {VERSION}",
            remedy="Use the program that wrote it, or write it again.",
            where=str(path),
        )
    return manifest


def _padded(lengths: np.ndarray, flat: np.ndarray, fill: float) -> np.ndarray:
    """(N, longest) with each position's entries first and ``fill`` after them."""
    width = max(1, int(lengths.max(initial=0)))
    out = np.full((len(lengths), width), fill, dtype=flat.dtype)
    out[np.arange(width) < lengths[:, None]] = flat
    return out
