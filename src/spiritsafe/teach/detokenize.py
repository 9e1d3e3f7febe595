"""From token ids to text as they come: characters split across tokens, stop strings split across tokens."""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from spiritsafe.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pieces:
    """The bytes of every token. A special token has none. ``strip`` drops one space at the start of a text."""

    data: tuple[bytes, ...]
    strip: bool

    def __getitem__(self, token: int) -> bytes:
        """A model may have more rows than its tokenizer has tokens: those are empty."""
        return self.data[token] if token < len(self.data) else b""

    def join(self, tokens: Sequence[int]) -> str:
        """The text of whole tokens, as the tokenizer's own ``decode`` without special tokens."""
        text = b"".join(self[token] for token in tokens).decode("utf-8", "replace")
        return text[1:] if self.strip and text.startswith(" ") else text


def pieces(tokenizer: PreTrainedTokenizerBase) -> Pieces:
    """Read the bytes of each token off a fast tokenizer with a byte-level or a SentencePiece-like decoder.

    Raises InputError for any other decoder.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is None:
        raise InputError(
            "the tokenizer can't turn single tokens into bytes",
            remedy="Use a model folder with a tokenizer.json that has a ByteLevel or ByteFallback decoder.",
        )
    decoder = json.loads(backend.decoder.__getstate__())
    kinds = {part["type"] for part in decoder.get("decoders", [decoder])}
    if "ByteLevel" in kinds:
        alphabet = _byte_level_alphabet()
        strip = False
    elif "ByteFallback" in kinds:
        alphabet = None
        strip = any(part["type"] == "Strip" and part["start"] for part in decoder.get("decoders", []))
    else:
        raise InputError(
            f"the tokenizer's decoder ({', '.join(sorted(kinds))}) is not known here",
            remedy="Known are ByteLevel and ByteFallback decoders (GPT-2, Llama, Qwen, Mistral, Gemma, SmolLM).",
        )
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    data = [b""] * (max(vocabulary.values()) + 1)
    for piece, token in vocabulary.items():
        data[token] = _byte_level(piece, alphabet) if alphabet is not None else _fallback(piece)
    for token, added in tokenizer.added_tokens_decoder.items():
        data[token] = b"" if added.special else added.content.encode()
    return Pieces(tuple(data), strip)


def _byte_level(piece: str, alphabet: dict[str, int]) -> bytes:
    if any(char not in alphabet for char in piece):
        return piece.encode()
    return bytes(alphabet[char] for char in piece)


def _fallback(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes.fromhex(piece[3:5])
    return piece.replace("\u2581", " ").encode()


def _byte_level_alphabet() -> dict[str, int]:
    """The printable character that stands for each byte in a byte-level vocabulary (Radford et al. 2019)."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


class Released(NamedTuple):
    """What may be shown now: new text, how many tokens in all belong to it, and whether a stop string ended it."""

    text: str
    tokens: int
    stopped: bool


class TextStream:
    """Text of one answer as its tokens come. Nothing is released that could still become part of a stop string.

    A token belongs to what is released once its first character is out. A token that begins inside a
    stop string belongs to nothing.
    """

    def __init__(self, pieces: Pieces, stop: Sequence[str]) -> None:
        self._pieces = pieces
        self._stop = tuple(text for text in stop if text)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._starts: list[int] = []
        self._held = ""
        self._out = 0
        self._begun = not pieces.strip

    def push(self, token: int) -> Released:
        """Take the next token."""
        self._starts.append(self._out + len(self._held))
        return self._take(self._decoder.decode(self._pieces[token]), final=False)

    def finish(self) -> Released:
        """No more tokens: release what is held; half a character becomes U+FFFD."""
        return self._take(self._decoder.decode(b"", final=True), final=True)

    def _take(self, text: str, *, final: bool) -> Released:
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix(" ")
        self._held += text
        cut = _first(self._held, self._stop)
        if cut is not None:
            shown, self._held = self._held[:cut], ""
            self._out += len(shown)
            # A token of no bytes may start right at the cut: it belongs to nothing either.
            return Released(shown, sum(start < self._out for start in self._starts), True)
        keep = 0 if final else _overlap(self._held, self._stop)
        shown = self._held[: len(self._held) - keep]
        self._held = self._held[len(shown) :]
        self._out += len(shown)
        count = len(self._starts) if final else sum(start < self._out for start in self._starts)
        return Released(shown, count, False)


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Where the earliest stop string begins."""
    found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return min(found, default=None)


def _overlap(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of ``text`` with which a stop string begins."""
    longest = max((len(stop) - 1 for stop in stops), default=0)
    for size in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0
