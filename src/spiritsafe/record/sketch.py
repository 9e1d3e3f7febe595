"""The text sketch: what is kept of a text when the text itself is not, and all that detectors see of it.

A sketch is **not anonymous**: hashed words can be guessed from a dictionary, and an embedding says what
a text is about. It keeps nobody from learning the topic; it keeps the wording from lying around. The
exact-match digests are keyed, so that only the holder of the key can test whether a text was asked.

``SKETCH`` names the form with its parameters: two sketches compare only under one name. What ``text-1``
itself fixes, and only a new number may change: lower case, every digit shown as 0, the cutting into
units (``words.split_words``), ``HEAD``, ``TAIL``, ``EDGE``, ``CORE_...``, ``ZONE``, ``SEED``, the hashes, float16.
"""

from __future__ import annotations

import functools
import hashlib
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import rensa
from scipy.sparse import csr_array

from spiritsafe.errors import InputError
from spiritsafe.record.exchange import prompt_text
from spiritsafe.record.words import (
    DIMENSIONS,
    LANGUAGES,
    MARK,
    NUMBER,
    SCRIPTS,
    TRIGRAM_BITS,
    WEIGHTS_SHA256,
    WORD,
    word_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spiritsafe.record.exchange import Exchange
    from spiritsafe.record.words import WordTable

Part = Literal["minhash", "ngrams", "trigrams", "embedding"]
ALL_PARTS: frozenset[Part] = frozenset(("minhash", "ngrams", "trigrams", "embedding"))

HEAD, TAIL = 24_576, 8_192
EDGE = 8
CORE_LEAST, CORE_MOST, CORE_WEIGHT = 3, 16, 108
ZONE = 24
PERMUTATIONS = 64
SEED = 42
MAX_NGRAMS, NGRAM_BITS = 144, 16
MAX_TRIGRAMS = 96
SKETCH = (
    f"text-1:words=1-2/2^{NGRAM_BITS}/{MAX_NGRAMS}:characters=3/2^{TRIGRAM_BITS}/{MAX_TRIGRAMS}"
    f":minhash=rensa-r{rensa.RMinHash.ALGORITHM_VERSION}/2/{PERMUTATIONS}:embedding=wordllama-{WEIGHTS_SHA256[:8]}"
)

# One hashed n-gram and how often it occurs (255 stands for 255 or more).
PAIR = np.dtype([("id", "<u2"), ("count", "u1")])

_MOST_AT_ONCE = 1 << 15  # a text's number and an n-gram of it share 32 bits

_START = np.uint64(0x9E3779B97F4A7C15)
_32, _48 = np.uint64(32), np.uint64(48)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lengths and exact-match digests of a text: all that is kept of a system prompt or an answer.

    ``chars`` and ``lines`` count the whole text; the rest looks at its first 24,576 and last 8,192
    characters. ``words`` + ``numbers`` + ``marks`` is the number of units. ``script`` is that of most
    words, ``language`` a hint from frequent words, both None where nothing speaks for any. Digests are
    8 bytes, keyed: ``digest`` of the exact text, ``template`` of its units with digits masked,
    ``opening`` and ``closing`` of the first and last 8 units, ``core`` of its rare words in any order (the 3 rarest at
    least): the same question with another greeting or other numbers mostly has the same core.
    """

    chars: int = 0
    lines: int = 0
    words: int = 0
    numbers: int = 0
    marks: int = 0
    script: str | None = None
    language: str | None = None
    digest: bytes = b""
    template: bytes = b""
    opening: bytes = b""
    closing: bytes = b""
    core: bytes = b""


class TextSketch(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A sketch of one text, at most about 1.7 KB.

    ``minhash``: 64 little-endian uint32 over the set of word bigrams; the share of equal places
    estimates the Jaccard similarity (standard error at most .063). ``ngrams``: ``PAIR`` entries for word
    uni- and bigrams, at most 144; a text with more keeps those of its first and last 24 units, then
    those of lowest rank, a rank being the same in every text. ``distinct`` counts them before that.
    ``trigrams``: ``PAIR`` entries for character trigrams inside words, at most 96 by rank.
    ``embedding``: 256 little-endian float16 of length 1, all zero for a text without units. A part that
    was not asked for is empty.
    """

    distinct: int = 0
    minhash: bytes = b""
    ngrams: bytes = b""
    trigrams: bytes = b""
    embedding: bytes = b""


class ExchangeSketch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands in an exchange's ``sketch`` field; ``turns`` counts its messages."""

    name: str
    turns: int = 0
    prompt: TextSketch | None = None
    system: Shape | None = None
    completion: Shape | None = None
    reasoning: Shape | None = None


@dataclass(frozen=True)
class Counts:
    """Sparse counts of many rows: row i has ``ids[starts[i]:starts[i+1]]`` with ``counts`` beside them."""

    starts: NDArray[np.int64]
    ids: NDArray[np.uint16]
    counts: NDArray[np.uint8]

    def packed(self, row: int) -> bytes:
        """Return one row as ``PAIR`` entries."""
        start, stop = self.starts[row], self.starts[row + 1]
        pairs = np.empty(stop - start, dtype=PAIR)
        pairs["id"], pairs["count"] = self.ids[start:stop], self.counts[start:stop]
        return pairs.tobytes()


@dataclass(frozen=True)
class SketchColumns:
    """Sketches of many texts, one entry a row; fields are those of ``TextSketch``.

    Digests are uint64 (the 8 bytes, little-endian). ``script`` and ``language`` are indices into
    ``words.SCRIPTS`` and ``words.LANGUAGES``, -1 for none. ``minhash`` uint32 [n, 64], ``embedding``
    float16 [n, 256]. A part that was not asked for is None. ``derived`` holds what readers made of these texts, a row
    each, by names that they choose, so that the next one who asks needn't make it again.
    """

    chars: NDArray[np.int64]
    lines: NDArray[np.int64]
    words: NDArray[np.int64]
    numbers: NDArray[np.int64]
    marks: NDArray[np.int64]
    script: NDArray[np.int8]
    language: NDArray[np.int8]
    digest: NDArray[np.uint64]
    template: NDArray[np.uint64]
    opening: NDArray[np.uint64]
    closing: NDArray[np.uint64]
    core: NDArray[np.uint64]
    distinct: NDArray[np.int64]
    minhash: NDArray[np.uint32] | None
    ngrams: Counts | None
    trigrams: Counts | None
    embedding: NDArray[np.float16] | None
    derived: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.chars)

    def row(self, at: int) -> TextSketch:
        """Return one row as the struct that is stored."""
        return TextSketch(
            **self._shape(at),
            distinct=int(self.distinct[at]),
            minhash=b"" if self.minhash is None else self.minhash[at].astype("<u4").tobytes(),
            ngrams=b"" if self.ngrams is None else self.ngrams.packed(at),
            trigrams=b"" if self.trigrams is None else self.trigrams.packed(at),
            embedding=b"" if self.embedding is None else self.embedding[at].astype("<f2").tobytes(),
        )

    def shape(self, at: int) -> Shape:
        """Return one row's lengths and digests."""
        return Shape(**self._shape(at))

    def _shape(self, at: int) -> dict[str, Any]:
        script, language = int(self.script[at]), int(self.language[at])
        return {
            **{name: int(getattr(self, name)[at]) for name in ("chars", "lines", "words", "numbers", "marks")},
            **{name: int(getattr(self, name)[at]).to_bytes(8, "little") for name in _DIGESTS},
            "script": SCRIPTS[script] if script >= 0 else None,
            "language": LANGUAGES[language] if language >= 0 else None,
        }


COLUMNS = tuple(name for name in SketchColumns.__dataclass_fields__ if name != "derived")
"""What sketches consist of."""

_DIGESTS = ("digest", "template", "opening", "closing", "core")


def sketch_text(text: str, key: bytes = b"") -> TextSketch:
    """Sketch one text. ``key`` (at most 64 bytes) keys the exact-match digests."""
    return sketch_texts([text], key).row(0)


def sketch_texts(
    texts: Sequence[str], key: bytes = b"", *, parts: frozenset[Part] = ALL_PARTS, chunk: int = 512
) -> SketchColumns:
    """Sketch many texts, ``chunk`` at a time; equal texts are best passed once. Leave out ``parts`` you don't read."""
    chunk = min(chunk, _MOST_AT_ONCE)
    pieces = [_sketch_chunk(texts[at : at + chunk], key, parts) for at in range(0, len(texts), chunk)]
    return pieces[0] if len(pieces) == 1 else join(pieces or [_sketch_chunk([], key, parts)])


def sketch(exchange: Exchange, key: bytes = b"") -> dict[str, Any]:
    """Return an exchange's sketch as it is stored in its ``sketch`` field (JSON, bytes in base64).

    The prompt (the last user message) is sketched whole; of the system prompt, the answer and the
    reasoning only the shape is kept. One that holds a sketch already gets that one back.
    """
    if exchange.sketch is not None:
        return exchange.sketch
    texts = {
        "prompt": prompt_text(exchange),
        "system": exchange.system,
        "completion": exchange.completion,
        "reasoning": exchange.reasoning,
    }
    held = {name: text for name, text in texts.items() if text is not None}
    columns = sketch_texts(list(held.values()), key)
    rows = {name: columns.row(at) if name == "prompt" else columns.shape(at) for at, name in enumerate(held)}
    found: dict[str, Any] = msgspec.to_builtins({"name": SKETCH, "turns": len(exchange.messages or ()), **rows})
    return found


def read_sketch(stored: dict[str, Any], where: str | None = None) -> ExchangeSketch:
    """Read a stored sketch. Raises InputError for one made with other parameters, or damaged."""
    if stored.get("name") != SKETCH:
        raise InputError(
            f"a sketch was made as {stored.get('name')!r}, this version reads {SKETCH!r}",
            remedy="Read it with the version of spiritsafe that wrote it",
            where=where,
        )
    try:
        return msgspec.convert(stored, ExchangeSketch)
    except msgspec.ValidationError as error:
        raise InputError(f"a stored sketch can't be read: {error}", remedy="Check the record", where=where) from error


def columns_of(sketches: Sequence[TextSketch]) -> SketchColumns:
    """Bring stored sketches into columns, as ``sketch_texts`` would have given them."""
    numbers: dict[str, Any] = {
        name: _ints(sketches, name) for name in ("chars", "lines", "words", "numbers", "marks", "distinct")
    }
    digests: dict[str, Any] = {
        # What was kept before there were cores has its template in place of one.
        name: np.frombuffer(b"".join(getattr(s, name) or s.template for s in sketches), dtype="<u8")
        for name in _DIGESTS
    }
    return SketchColumns(
        **numbers,
        **digests,
        script=np.array([SCRIPTS.index(s.script) if s.script else -1 for s in sketches], dtype=np.int8),
        language=np.array([LANGUAGES.index(s.language) if s.language else -1 for s in sketches], dtype=np.int8),
        minhash=_stack(sketches, "minhash", "<u4", PERMUTATIONS),
        ngrams=_unpack(sketches, "ngrams"),
        trigrams=_unpack(sketches, "trigrams"),
        embedding=_stack(sketches, "embedding", "<f2", DIMENSIONS),
    )


def join(pieces: Sequence[SketchColumns]) -> SketchColumns:
    """Put columns under one another; all must hold the same parts. What was derived of them is not kept."""
    joined: dict[str, Any] = {}
    for name in COLUMNS:
        parts = [getattr(piece, name) for piece in pieces]
        if parts[0] is None:
            joined[name] = None
        elif isinstance(parts[0], Counts):
            joined[name] = _join_counts(parts)
        else:
            joined[name] = np.concatenate(parts)
    return SketchColumns(**joined)


def jaccard(left: NDArray[np.uint32], right: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity of word-bigram sets from two MinHash arrays [..., 64]."""
    equal: NDArray[np.float64] = (left == right).mean(axis=-1)
    return equal


def _sketch_chunk(texts: Sequence[str], key: bytes, parts: frozenset[Part]) -> SketchColumns:
    seen = [_whole(text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}") for text in texts]
    table = word_table()
    with table.lock:
        ids, starts = table.ids(seen)
        units = _Units(table, ids, starts)
        trigrams = units.trigrams() if "trigrams" in parts else None
        embedding = units.embedding() if "embedding" in parts else None
    kinds = units.count_by(units.kinds, 3)
    pairs = units.pairs()
    ngrams = units.ngrams(pairs) if "ngrams" in parts else None
    template, opening, closing = units.digests(key)
    return SketchColumns(
        chars=np.array([len(text) for text in texts], dtype=np.int64),
        lines=np.array([text.count("\n") + 1 if text else 0 for text in texts], dtype=np.int64),
        words=kinds[:, WORD],
        numbers=kinds[:, NUMBER],
        marks=kinds[:, MARK],
        script=units.script(),
        language=units.language(),
        digest=np.frombuffer(b"".join(_exact(text, key) for text in texts), dtype="<u8"),
        template=template,
        opening=opening,
        closing=closing,
        core=units.core(key),
        distinct=ngrams[1] if ngrams else np.zeros(len(texts), dtype=np.int64),
        minhash=units.minhash(pairs) if "minhash" in parts else None,
        ngrams=ngrams[0] if ngrams else None,
        trigrams=trigrams,
        embedding=embedding,
    )


class _Units:
    """The words, numbers and marks of a chunk of texts, one after the other, with where each text starts.

    Reads from the table what it needs at once, save trigrams and vectors, which are read on demand.
    """

    def __init__(self, table: WordTable, ids: NDArray[np.int64], starts: NDArray[np.int64]) -> None:
        self._table = table
        self._ids = ids
        self._starts = starts
        self._lengths = np.diff(starts)
        self._n = len(self._lengths)
        self._filled = np.flatnonzero(self._lengths)
        self._row = np.repeat(np.arange(self._n), self._lengths)
        self._hashes = table.hashes[ids]
        self.kinds = table.kinds[ids]
        self._weights = table.weights[ids]
        self._scripts = table.scripts[ids]
        self._languages = table.languages[ids]

    def sums(self, values: NDArray[Any]) -> NDArray[Any]:
        """Sum ``values`` [units, ...] over the units of each text."""
        out = np.zeros((self._n, *values.shape[1:]), dtype=values.dtype)
        if len(self._filled):
            out[self._filled] = np.add.reduceat(values, self._starts[self._filled], axis=0)
        return out

    def count_by(self, classes: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
        """Count units by class: [texts, n]."""
        return np.bincount(self._row * n + classes, minlength=self._n * n).reshape(self._n, n)

    def script(self) -> NDArray[np.int8]:
        counts = self.count_by(self._scripts, len(SCRIPTS))
        counts[:, 0] = 0
        return np.where(counts.any(axis=1), counts.argmax(axis=1), -1).astype(np.int8)

    def language(self) -> NDArray[np.int8]:
        counts = self.sums(self._languages.astype(np.uint16))
        best = counts.argmax(axis=1) if self._n else np.zeros(0, dtype=np.int64)
        return np.where(counts.any(axis=1), best, -1).astype(np.int8)

    def pairs(self) -> NDArray[np.uint64]:
        """Hash each unit with the one before it (or with the start of the text)."""
        before = np.empty_like(self._hashes)
        before[1:] = self._hashes[:-1]
        before[self._starts[self._filled]] = _START
        return _mix(_mix(before) ^ self._hashes)

    def minhash(self, pairs: NDArray[np.uint64]) -> NDArray[np.uint32]:
        out = np.full((self._n, PERMUTATIONS), 0xFFFFFFFF, dtype=np.uint32)
        if len(self._filled):
            starts = np.append(self._starts[self._filled], len(pairs)).astype(np.uint64)
            matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(pairs, starts, PERMUTATIONS, SEED)
            for place, digest in zip(self._filled, matrix.to_rows(), strict=True):
                out[place] = array("I", digest)
        return out

    def ngrams(self, pairs: NDArray[np.uint64]) -> tuple[Counts, NDArray[np.int64]]:
        ids = (np.concatenate((self._hashes, pairs)) >> np.uint64(64 - NGRAM_BITS)).astype(np.uint16)
        place = np.arange(len(self._ids)) - self._starts[self._row]
        edge = (place < ZONE) | (place >= self._lengths[self._row] - ZONE)
        return _count(np.tile(self._row, 2), ids, self._n, MAX_NGRAMS, np.tile(edge, 2))

    def trigrams(self) -> Counts:
        ids, sizes = self._table.trigrams_of(self._ids)
        row = np.repeat(self._row, sizes)
        return _count(row, ids, self._n, MAX_TRIGRAMS, np.zeros(len(ids), dtype=bool))[0]

    def embedding(self) -> NDArray[np.float16]:
        vectors = self._table.vectors
        if self._n == 1:  # the same additions in the same order, without building a matrix
            summed = vectors.take(self._ids, axis=0).sum(axis=0, keepdims=True)
        else:
            ones = np.ones(len(self._ids), dtype=np.float32)
            summed = csr_array((ones, self._ids, self._starts), shape=(self._n, len(vectors))) @ vectors
        length = np.sqrt(np.einsum("ij,ij->i", summed, summed))[:, None]
        found: NDArray[np.float16] = (summed / np.where(length > 0, length, 1)).astype(np.float16)
        return found

    def digests(self, key: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
        """Polynomials in a secret base over the units' hashes, of the whole text, its opening and its closing."""
        powers, last = _powers(key, 1 << int(self._lengths.max(initial=1)).bit_length())
        place = np.arange(len(self._ids)) - self._starts[self._row]
        from_end = self._lengths[self._row] - 1 - place
        terms = np.empty((len(self._ids), 3), dtype=np.uint64)
        np.multiply(self._hashes, powers[place], out=terms[:, 0])
        np.multiply(terms[:, 0], place < EDGE, out=terms[:, 1])
        np.multiply(self._hashes * powers[from_end], from_end < EDGE, out=terms[:, 2])
        found = _mix(self.sums(terms) ^ last)
        return found[:, 0].copy(), found[:, 1].copy(), found[:, 2].copy()

    def core(self, key: bytes) -> NDArray[np.uint64]:
        """Digest the weightiest distinct words of each text: those of ``CORE_WEIGHT`` and more up to ``CORE_MOST``, but
        ``CORE_LEAST`` in any case, numbers after words and marks last.
        """
        _, last = _powers(key, 2)
        weight = np.where(self.kinds == WORD, np.minimum(self._weights, 0xFFFD) + 2, self.kinds == NUMBER)
        light = (0xFFFF - weight.astype(np.int64)).astype(np.uint64)
        # By text, weight and hash; the rest of a hash would part words of one weight once in billions of texts.
        order = np.argsort(self._row.astype(np.uint64) << _48 | light << _32 | self._hashes >> _32)
        row, hashes, weight = self._row[order], self._hashes[order], weight[order]
        fresh = np.ones(len(row), dtype=bool)
        fresh[1:] = (row[1:] != row[:-1]) | (hashes[1:] != hashes[:-1])
        row, hashes, weight = row[fresh], hashes[fresh], weight[fresh]
        starts = np.searchsorted(row, np.arange(self._n))
        place = np.arange(len(row)) - starts[row]
        kept = (place < CORE_LEAST) | ((place < CORE_MOST) & (weight >= CORE_WEIGHT + 2))
        found = np.zeros(self._n, dtype=np.uint64)
        np.add.at(found, row[kept], _mix(hashes[kept]))
        return _mix(found ^ last)


def _whole(text: str) -> str:
    """The text with halves of surrogate pairs replaced: no encoding has them, and no tokenizer takes them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@functools.lru_cache(64)
def _powers(key: bytes, size: int) -> tuple[NDArray[np.uint64], np.uint64]:
    """Return the powers of a secret odd base modulo 2^64, and another secret word."""
    secret = hashlib.blake2b(b"", key=key, digest_size=16, person=b"spiritsafe units").digest()
    base, last = int.from_bytes(secret[:8], "little") | 1, np.uint64(int.from_bytes(secret[8:], "little"))
    return np.cumprod(np.full(size, base, dtype=np.uint64), dtype=np.uint64), last


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_A
    x = (x ^ (x >> np.uint64(27))) * _MIX_B
    return x ^ (x >> np.uint64(31))


def _count(
    row: NDArray[np.int64], ids: NDArray[np.uint16], n: int, most: int, edge: NDArray[np.bool_]
) -> tuple[Counts, NDArray[np.int64]]:
    """Count ids per row; a row with more than ``most`` keeps those seen at an edge, then those of lowest rank.

    Returns the counts, and how many distinct ids each row had.
    """
    keys = (row.astype(np.uint32) << np.uint32(17)) | (ids.astype(np.uint32) << np.uint32(1)) | ~edge
    keys.sort()
    pair = keys >> np.uint32(1)
    first = np.flatnonzero(np.concatenate(([True], pair[1:] != pair[:-1]))) if len(keys) else row
    found = pair[first]
    counts = np.minimum(np.diff(first, append=len(keys)), 255).astype(np.uint8)
    owner = (found >> np.uint32(16)).astype(np.int64)
    sizes = np.bincount(owner, minlength=n).astype(np.int64)
    keep = np.ones(len(found), dtype=bool)
    long = sizes > most
    if long.any():
        at = np.flatnonzero(long[owner])
        far = (keys[first[at]] & np.uint32(1)).astype(np.int64)  # one that is also at an edge sorts first
        rank = found[at].astype(np.int64) * 40_503 & 0xFFFF
        order = at[np.argsort(owner[at] << 17 | far << 16 | rank)]
        place = np.arange(len(at)) - np.repeat(np.cumsum(sizes[long]) - sizes[long], sizes[long])
        keep[order] = place < most
    held = np.bincount(owner[keep], minlength=n)
    starts = np.concatenate(([0], np.cumsum(held))).astype(np.int64)
    return Counts(starts, (found[keep] & np.uint32(0xFFFF)).astype(np.uint16), counts[keep]), sizes


def _exact(text: str, key: bytes) -> bytes:
    return hashlib.blake2b(
        text.encode("utf-8", "surrogatepass"), key=key, digest_size=8, person=b"spiritsafe text"
    ).digest()


def _join_counts(parts: Sequence[Counts]) -> Counts:
    starts = [np.zeros(1, dtype=np.int64)]
    for part in parts:
        starts.append(part.starts[1:] + starts[-1][-1])
    return Counts(
        np.concatenate(starts), np.concatenate([p.ids for p in parts]), np.concatenate([p.counts for p in parts])
    )


def _ints(sketches: Sequence[TextSketch], name: str) -> NDArray[np.int64]:
    return np.array([getattr(s, name) for s in sketches], dtype=np.int64)


def _stack(sketches: Sequence[TextSketch], name: str, kind: str, width: int) -> NDArray[Any]:
    return np.frombuffer(b"".join(getattr(s, name) for s in sketches), dtype=kind).reshape(-1, width)


def _unpack(sketches: Sequence[TextSketch], name: str) -> Counts:
    packed = [getattr(s, name) for s in sketches]
    pairs = np.frombuffer(b"".join(packed), dtype=PAIR)
    sizes = np.array([len(p) // PAIR.itemsize for p in packed], dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    return Counts(starts, pairs["id"].copy(), pairs["count"].copy())
