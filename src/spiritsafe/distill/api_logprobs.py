"""An API's ``top_logprobs``, from the text that it sends to the student's own token numbers.

An API names tokens by their bytes. They are taken for the student's only where that is certain: the bytes belong to
one token of its vocabulary, and the answer's tokens are, one by one, those into which the student's tokenizer cuts
the same answer. A row for which this fails is left out with its reason; too many, and the tokenizers differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from spiritsafe.errors import InputError
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.types import Token

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A teacher that samples now and then writes a word in other tokens than a tokenizer would; more is another tokenizer.
MOST_ROWS_LEFT_OUT = 0.2
MOST_CANDIDATES_UNKNOWN = 0.01
UNKNOWN = "\ufffd".encode()

Piece = str | list[int]
"""A token as it is kept: its text, or its bytes where they are no text (half a character)."""


class Coded(Protocol):
    """A row in the student's tokens; the answer begins at ``start`` and ends with the end token."""

    @property
    def key(self) -> str: ...

    @property
    def ids(self) -> Sequence[int]: ...

    @property
    def start(self) -> int: ...


class Tops(NamedTuple):
    """For each answer token, the end token included: the known tokens' ids, likeliest first, and their logprobs."""

    ids: list[list[int]]
    logprobs: list[list[float]]


class Mapped(NamedTuple):
    """``tops`` by the rows' keys; ``left_out`` says why for each of the others."""

    tops: dict[str, Tops]
    left_out: dict[str, str]


class _Mismatch(Exception):
    """This row's tokens are not the student's."""


def pieces_of(tokens: Sequence[Token]) -> dict[str, object]:
    """What an exchange's ``extra`` keeps of an answer's tokens: ``pieces``, their ``logprobs``, and ``top``, for each
    token a list of [piece, logprob].
    """
    return {
        "pieces": [_piece(t.data) for t in tokens],
        "logprobs": [t.logprob for t in tokens],
        "top": [[[_piece(c.data), c.logprob] for c in t.top] for t in tokens],
    }


def map_rows(
    rows: Sequence[Coded], extras: Mapping[str, Mapping[str, object]], tokenizer: PreTrainedTokenizerBase
) -> Mapped:
    """Give every row's logprobs in the student's tokens. ``extras`` are the exchanges' by the rows' keys.

    Where the API tells nothing of the end token, the teacher's stopping there counts as certain: as in training on
    the answers alone. Raises ``InputError`` if so much does not map that the tokenizers must differ.
    """
    vocabulary = _Vocabulary(tokenizer)
    found = Mapped({}, {})
    for row in rows:
        try:
            found.tops[row.key] = _map(row, extras.get(row.key, {}), vocabulary)
        except _Mismatch as error:
            found.left_out[row.key] = str(error)
    if rows and len(found.left_out) > MOST_ROWS_LEFT_OUT * len(rows):
        key, why = next(iter(found.left_out.items()))
        raise InputError(
            f"{len(found.left_out)} of {len(rows)} answers can't be read in the student's tokens ({key}: {why})",
            remedy="Ask for logprobs (collect.sampling.top_logprobs) of a teacher with the student's tokenizer, "
            "or train on the answers alone (train.loss: sft).",
        )
    if vocabulary.unknown > MOST_CANDIDATES_UNKNOWN * vocabulary.known:
        raise InputError(
            f"{vocabulary.unknown} of the teacher's {vocabulary.known + vocabulary.unknown} likely tokens are none of "
            f"the student's (as {vocabulary.example!r})",
            remedy="Teacher and student have different tokenizers: train on the answers alone (train.loss: sft).",
        )
    return found


class _Vocabulary:
    """From a token's bytes to its number. Bytes that two tokens share belong to neither."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.end = tokenizer.eos_token_id
        self.known = self.unknown = 0
        self.example: Piece = ""
        self._ids: dict[bytes, int | None] = {}
        for number, data in enumerate(pieces(tokenizer).data):
            if data:
                self._ids[data] = None if data in self._ids else number
        for number, added in tokenizer.added_tokens_decoder.items():
            if added.special:
                data = added.content.encode()
                self._ids[data] = None if data in self._ids else number

    def chosen(self, piece: object) -> int | None:
        return self._ids.get(_data(piece))

    def candidate(self, piece: object) -> int | None:
        """As ``chosen``, counting what is not known. A server that hides special tokens, or has lost the bytes of half
        a character, tells nothing about a candidate: then its mass is part of the tail's.
        """
        data = _data(piece)
        if not data or UNKNOWN in data:
            return None
        number = self._ids.get(data)
        if number is None:
            self.unknown += 1
            self.example = _piece(data)
        else:
            self.known += 1
        return number


def _map(row: Coded, extra: Mapping[str, object], vocabulary: _Vocabulary) -> Tops:
    told, logprobs, top = (extra.get(name) for name in ("pieces", "logprobs", "top"))
    if not (isinstance(told, list) and isinstance(logprobs, list) and isinstance(top, list)) or not told:
        raise _Mismatch("the answer came without logprobs")
    if not len(told) == len(logprobs) == len(top):
        raise _Mismatch("tokens and logprobs are not as many")
    answer = list(row.ids[row.start :])
    ids = [vocabulary.chosen(piece) for piece in told]
    if len(ids) == len(answer) and (not _data(told[-1]) or ids[-1] == vocabulary.end):
        ids[-1] = answer[-1]  # this server tells of the end token too, with or without its name
    if ids != answer[: len(ids)] or len(ids) < len(answer) - 1:
        at = next((i for i, (a, b) in enumerate(zip(ids, answer, strict=False)) if a != b), min(len(ids), len(answer)))
        shown = told[at] if at < len(told) else "nothing more"
        raise _Mismatch(f"at its token {at} the teacher has {shown!r}, the student another")
    found = Tops([], [])
    for number, logprob, likely in zip(answer, logprobs, top, strict=False):
        values: dict[int, float] = {}
        for piece, value in likely:
            if (candidate := vocabulary.candidate(piece)) is not None:
                values.setdefault(candidate, float(value))
        if logprob is not None:
            values.setdefault(number, float(logprob))
        ordered = sorted(values.items(), key=lambda item: -item[1])
        found.ids.append([i for i, _ in ordered])
        found.logprobs.append([v for _, v in ordered])
    if len(ids) < len(answer):
        stopped = extra.get("finish") == "stop"
        found.ids.append([answer[-1]] if stopped else [])
        found.logprobs.append([0.0] if stopped else [])
    return found


def _piece(data: bytes) -> Piece:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def _data(piece: object) -> bytes:
    return bytes(piece) if isinstance(piece, list) else str(piece).encode()
