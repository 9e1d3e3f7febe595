"""What is known about a word: its hash, kind, script, language, character trigrams and static vector.

Everything a text sketch needs is a sum over words, so each word is looked at once and kept in a table;
a prompt then costs a few array look-ups.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.units import Numbers, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DIMENSIONS = 256
VOCABULARY = 32_000
TRIGRAM_BITS = 15
WORD, NUMBER, MARK = 0, 1, 2
_PLAIN = 2

WEIGHTS_SHA256 = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
TOKENIZER_SHA256 = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"

SCRIPTS = (
    "none",
    "latin",
    "cyrillic",
    "greek",
    "cjk",
    "hangul",
    "arabic",
    "hebrew",
    "devanagari",
    "thai",
    "other",
)
# First code point of each block, in order, and the script it holds.
_BLOCKS = (
    (0x0041, "latin"),
    (0x0370, "greek"),
    (0x0400, "cyrillic"),
    (0x0530, "other"),
    (0x0590, "hebrew"),
    (0x0600, "arabic"),
    (0x0780, "other"),
    (0x0900, "devanagari"),
    (0x0980, "other"),
    (0x0E00, "thai"),
    (0x0E80, "other"),
    (0x1100, "hangul"),
    (0x1200, "other"),
    (0x1E00, "latin"),
    (0x1F00, "greek"),
    (0x2000, "other"),
    (0x3040, "cjk"),
    (0x3130, "hangul"),
    (0x3190, "cjk"),
    (0xA000, "other"),
    (0xAC00, "hangul"),
    (0xD7B0, "other"),
    (0xF900, "cjk"),
    (0xFB00, "other"),
    (0xFB50, "arabic"),
    (0xFE00, "other"),
    (0xFF21, "latin"),
    (0xFF66, "cjk"),
    (0xFFA0, "other"),
    (0x20000, "cjk"),
    (0x40000, "other"),
)
_BLOCK_STARTS = np.array([start for start, _ in _BLOCKS])

# Frequent short words. A hint, not a classifier: the language with the most of its words in a text.
_STOP_WORDS = {
    "en": "the of and to is in that it for you what how with are be this an on was do which from can",
    "de": "der die das und ist nicht ein eine ich zu den mit von wie auf für im dem sie auch wird kann was",
    "fr": "le la les et est une un des du dans que qui pour pas ce je vous il sur avec en au comment ne",
    "es": "el la los las y es una un de que en por para con no se del al como lo su más qué cuál",
    "it": "il la lo gli di che è un una per non con del della si sono come nel da anche cosa i ho",
    "pt": "o a os as e é um uma de que em para com não do da no na por como se mais você ao",
    "nl": "de het een en van is dat niet in te ik op met voor zijn er aan ook hoe wat bij wordt naar je",
    "sv": "och att det som en är för på av med den till inte jag om har ett var hur vad kan de från",
    "pl": "i w na z nie się do to jest że jak co po dla od czy są ale przez za który tego oraz jaki",
    "tr": "bir ve bu için ne mi da de ile nasıl çok gibi daha olan var ben sen o değil kadar en mı her",
    "ru": "и в не на что как это с по для из от но или так его к у же за мы вы он какой",
}
LANGUAGES = tuple(_STOP_WORDS)

# One CJK character is a word; other scripts are cut where letters and digits end, marks stand alone.
IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_TOKEN = re.compile(rf"{IDEOGRAPH.pattern}|[^\W_]{{1,32}}|[^\w\s]")
_MASK = bytes.maketrans(b"123456789", b"000000000")

# Steps of a word's weight: coarse, so that the last bits of a sum don't matter.
_WEIGHT_STEPS = 8.0


def split_words(text: str) -> list[str]:
    """Cut ``text`` into lower-case words, numbers with every digit shown as 0, and single marks."""
    masked = text.lower().encode("utf-8", "surrogatepass").translate(_MASK).decode("utf-8", "surrogatepass")
    found: list[str] = _TOKEN.findall(masked)
    return found


class WordTable:
    """A growing table of words. Columns are indexed by the numbers that ``ids`` returns.

    ``hashes`` uint64, ``kinds`` and ``scripts`` uint8, ``languages`` uint8 [words, languages],
    ``vectors`` float32 [words, 256] (the sum of the word's token vectors), ``tokens`` (how many tokens
    those were), ``weights`` uint16 (the vector's length in eighths: rare words have long ones, "the" and "please"
    short ones). ``trigrams_of`` gives character trigrams. Numbers stay valid until the next ``ids`` call:
    when more than ``capacity`` words are held the table starts afresh, which at most doubles the work
    that the words filling it had already cost. Not safe for several threads; hold ``lock``.
    """

    def __init__(self, embedding: NDArray[np.float16], tokenizer: Tokenizer, capacity: int = 100_000) -> None:
        self.lock = threading.Lock()
        self._embedding = embedding
        self._tokenizer = tokenizer
        self._capacity = capacity
        self._numbers = Numbers(1024)
        self._start(1024)

    def __len__(self) -> int:
        return len(self._known)

    def ids(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the word numbers of all texts in a row, and where each text starts (one more at the end)."""
        if len(self._known) > self._capacity:
            self._start(1024)
        way = np.fromiter(map(_way, texts), dtype=np.int64, count=len(texts))
        ways = [at for at in (np.flatnonzero(way == kind) for kind in range(3)) if at.size]
        parts = [
            (self._any if way[at[0]] == _PLAIN else self._letters)([texts[place] for place in at.tolist()])
            for at in ways
        ]
        if len(parts) == 1:
            return parts[0]
        sizes = np.zeros(len(texts), dtype=np.int64)
        for at, (_, starts) in zip(ways, parts, strict=True):
            sizes[at] = np.diff(starts)
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        numbers = np.empty(offsets[-1], dtype=np.int64)
        for at, (part, starts) in zip(ways, parts, strict=True):
            numbers[np.arange(len(part)) + np.repeat(offsets[at] - starts[:-1], sizes[at])] = part
        return numbers, offsets

    def _letters(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        units = cut(texts, self._numbers.seed)
        numbers = self._numbers.find(units.keys)
        fresh = np.flatnonzero(numbers < 0)
        if fresh.size:
            keys, first = np.unique(units.keys[fresh], return_index=True)
            words = [units.word(at) for at in fresh[first].tolist()]
            self._admit([word for word in words if word not in self._known])
            self._numbers.put(keys, np.array([self._known[word] for word in words], dtype=np.int64))
            numbers[fresh] = self._numbers.find(units.keys[fresh])
        return numbers, units.starts

    def _any(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        known = self._known
        offsets = np.zeros(len(texts) + 1, dtype=np.int64)
        flat: list[str] = []
        for place, text in enumerate(texts):
            flat += split_words(text)
            offsets[place + 1] = len(flat)
        numbers = [known.get(word, -1) for word in flat]
        if -1 in numbers:
            self._admit(list(dict.fromkeys(word for word, number in zip(flat, numbers, strict=True) if number < 0)))
            numbers = [known[word] for word in flat]
        return np.array(numbers, dtype=np.int64), offsets

    def _start(self, size: int) -> None:
        self._known: dict[str, int] = {}
        self._numbers.clear()
        self.hashes = np.zeros(size, dtype=np.uint64)
        self.kinds = np.zeros(size, dtype=np.uint8)
        self.scripts = np.zeros(size, dtype=np.uint8)
        self.languages = np.zeros((size, len(LANGUAGES)), dtype=np.uint8)
        self.vectors = np.zeros((size, DIMENSIONS), dtype=np.float32)
        self.tokens = np.zeros(size, dtype=np.int64)
        self.weights = np.zeros(size, dtype=np.uint16)
        self._trigrams = np.zeros(4 * size, dtype=np.uint16)
        self._trigram_starts = np.zeros(size + 1, dtype=np.int64)

    def trigrams_of(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Return the trigrams of these words in a row, and how many each word has."""
        starts = self._trigram_starts[ids]
        sizes = self._trigram_starts[ids + 1] - starts
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self._trigrams[np.repeat(starts, sizes) + within], sizes

    def _grow(self, wanted: int) -> None:
        size = len(self.hashes)
        if wanted <= size:
            return
        while size < wanted:
            size *= 2
        for name in ("hashes", "kinds", "scripts", "languages", "vectors", "tokens", "weights"):
            setattr(self, name, _longer(getattr(self, name), size))
        self._trigram_starts = _longer(self._trigram_starts, size + 1)

    def _admit(self, words: list[str]) -> None:
        if not words:
            return
        first = len(self._known)
        self._grow(first + len(words))
        pieces = self._pieces(words)
        counts = np.array([len(piece) for piece in pieces], dtype=np.int64)
        self.tokens[first : first + len(words)] = counts
        self.vectors[first : first + len(words)] = self._sums(pieces, counts)
        lengths = np.linalg.norm(self.vectors[first : first + len(words)], axis=1)
        self.weights[first : first + len(words)] = np.clip(lengths * _WEIGHT_STEPS, 0.0, 65_535.0)
        for number, word in enumerate(words, first):
            kind = _kind(word)
            self._known[word] = number
            self.hashes[number] = word_hash(word)
            self.kinds[number] = kind
            self.scripts[number] = SCRIPTS.index(_script(word)) if kind == WORD else 0
            self.languages[number] = _language_flags().get(word, 0)
            self._keep_trigrams(number, _trigrams(word) if kind == WORD else [])

    def _sums(self, pieces: list[list[int]], counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sum of each word's token vectors, first to last: another order could round otherwise."""
        flat = np.array([token for piece in pieces for token in piece], dtype=np.int64)
        starts = np.cumsum(counts) - counts
        sums = np.zeros((len(counts), DIMENSIONS), dtype=np.float32)
        for place in range(int(counts.max())):
            rows = np.flatnonzero(counts > place)
            vectors = self._embedding[flat[starts[rows] + place]]
            sums[rows] = vectors if place == 0 else sums[rows] + vectors
        return sums

    def _keep_trigrams(self, number: int, found: list[int]) -> None:
        start = int(self._trigram_starts[number])
        stop = start + len(found)
        if stop > len(self._trigrams):
            self._trigrams = _longer(self._trigrams, 2 * stop)
        self._trigrams[start:stop] = found
        self._trigram_starts[number + 1] = stop

    def _pieces(self, words: list[str]) -> list[list[int]]:
        """Token numbers of each word; a mark follows its word without a space, so it has none in front."""
        encoded = self._tokenizer.encode_batch_fast(words, add_special_tokens=False)
        pieces = []
        for word, encoding in zip(words, encoded, strict=True):
            bare = self._tokenizer.token_to_id(word) if _kind(word) == MARK else None
            pieces.append([bare] if bare is not None else encoding.ids)
        return pieces


def _way(text: str) -> int:
    """How a text is cut: with others of ASCII, with others of letters, or plainly."""
    return 0 if text.isascii() else _PLAIN if IDEOGRAPH.search(text) else 1


def word_hash(word: str) -> int:
    """64 bits of a word, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _kind(word: str) -> int:
    if not word.strip("0"):
        return NUMBER
    return WORD if word[0].isalnum() else MARK


def _script(word: str) -> str:
    letter = next((c for c in word if c.isalpha()), None)
    if letter is None:
        return "none"
    return _BLOCKS[int(np.searchsorted(_BLOCK_STARTS, ord(letter), side="right")) - 1][1]


def _trigrams(word: str) -> list[int]:
    padded = f"<{word}>".encode("utf-32-le", "surrogatepass")
    return [zlib.crc32(padded[at : at + 12]) >> (32 - TRIGRAM_BITS) for at in range(0, len(padded) - 8, 4)]


def _longer(column: NDArray[Any], size: int) -> NDArray[Any]:
    longer = np.zeros((size, *column.shape[1:]), dtype=column.dtype)
    longer[: len(column)] = column
    return longer


@functools.cache
def _language_flags() -> dict[str, NDArray[np.uint8]]:
    flags: dict[str, NDArray[np.uint8]] = {}
    for place, words in enumerate(_STOP_WORDS.values()):
        for word in words.split():
            flags.setdefault(word, np.zeros(len(LANGUAGES), dtype=np.uint8))[place] = 1
    return flags


def _wheel_file(folder: str, name: str, sha256: str) -> Path:
    """Find a file of the wordllama wheel without importing the package, which sets up logging and HTTP."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise ResourceError("the package wordllama is not installed", remedy="Install it: pip install wordllama")
    path = Path(spec.origin).parent / folder / name
    if not path.exists():
        raise ResourceError("a file of the wordllama wheel is missing", remedy="Reinstall wordllama", where=str(path))
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise InputError(
            "the static embedding's file is not the one sketches are defined by",
            remedy="Reinstall wordllama 0.4 from its wheel; a sketch made with other weights can't be compared",
            where=str(path),
        )
    return path


def _load_embedding(path: Path) -> NDArray[np.float16]:
    """Read the one tensor of a safetensors file: 8 bytes of header length, a JSON header, raw values."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    tensor = json.loads(data[8 : 8 + length])["embedding.weight"]
    start, stop = tensor["data_offsets"]
    values = np.frombuffer(data[8 + length + start : 8 + length + stop], dtype="<f2")
    return values.reshape(VOCABULARY, DIMENSIONS)


@functools.cache
def word_table() -> WordTable:
    """Return this process's table, loaded on first use from the wheel's own files; never from the network."""
    weights = _wheel_file("weights", "l2_supercat_256.safetensors", WEIGHTS_SHA256)
    rules = _wheel_file("tokenizers", "l2_supercat_tokenizer_config.json", TOKENIZER_SHA256)
    return WordTable(_load_embedding(weights), Tokenizer.from_file(str(rules)))
