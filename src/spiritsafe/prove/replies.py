"""Replies: made from a teacher's answers, and looked at for what makes one useless.

Nothing here knows a key, a coin or a mark, so leaving out what is flagged here can't bias a test.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, cast

from spiritsafe.prove.suspect import Ending, Reply
from spiritsafe.teach.types import Answer, Chat, Json, Prompt, Raw

Flag = Literal["refused", "empty", "refusal", "repeating", "other-language"]

REFUSALS = re.compile(
    r"\b(i('m| am) (sorry|unable|not able)|i (can't|cannot|can not|won't) (help|assist|provide|answer|do|comply)|"
    r"as an ai( language)? model|i must decline)\b",
    re.IGNORECASE,
)
OPENING = 120
"""Characters at the beginning among which a refusal is looked for."""

SHORTEST = 200
TIGHTEST = 0.2
"""A reply of so many bytes that packs to less than this share of itself says the same over and over; prose packs to
some 40 to 60 in 100."""

FOREIGN = 0.5


def reply_of(answer: Answer) -> Reply:
    """A teacher's answer as a suspect's reply; ids and log-probabilities only where every token has its own."""
    tokens = answer.tokens
    known = all(token.id is not None for token in tokens)
    told = all(token.logprob is not None for token in tokens)
    return Reply(
        text=answer.text,
        ending=cast(Ending, answer.finish),
        ids=tuple(token.id for token in tokens if token.id is not None) if known else (),
        logprobs=tuple(round(token.logprob, 6) for token in tokens if token.logprob is not None) if told else (),
    )


def spelled(prompt: Prompt) -> str:
    """A prompt as plain text, for a model that knows no turns: what was said, each turn on its own line. A model's own
    turn at the end is to be continued: nothing follows it.
    """
    if isinstance(prompt, Raw):
        return prompt.text
    if isinstance(prompt, Chat):
        before, beginning = opened(prompt)
        return "".join(f"{turn.get('content') or ''}\n" for turn in before) + beginning
    return f"{prompt}\n"


def opened(chat: Chat) -> tuple[tuple[Json, ...], str]:
    """The turns that are answered, and how the answer begins if the last turn is the model's own."""
    if not chat.messages or chat.messages[-1].get("role") != "assistant":
        return chat.messages, ""
    return chat.messages[:-1], str(chat.messages[-1].get("content") or "")


def flag(reply: Reply, expected: str = "") -> Flag | None:
    """What makes the reply useless, ``None`` for one that is fit. ``expected`` is text in the language hoped for."""
    if reply.ending == "refused":
        return "refused"
    text = reply.text.strip()
    if not text:
        return "empty"
    if REFUSALS.search(text[:OPENING].replace("\u2019", "'")):
        return "refusal"
    data = text.encode()
    if len(data) >= SHORTEST and len(zlib.compress(data, 9)) < TIGHTEST * len(data):
        return "repeating"
    if expected and _alphabet(expected) and _foreign(text, _alphabet(expected)) > FOREIGN:
        return "other-language"
    return None


def tally(flags: Iterable[Flag | None]) -> tuple[str, ...]:
    """What was flagged, in words, the commonest first; empty if nothing was."""
    counts = Counter(one for one in flags if one is not None)
    return tuple(f"{count} replies left out: {name}" for name, count in counts.most_common())


def texts(replies: Sequence[Reply]) -> tuple[str, ...]:
    """The fit replies' texts."""
    return tuple(reply.text for reply in replies if flag(reply) is None)


def _alphabet(text: str) -> str:
    """The script most letters of ``text`` are in, by the block of 128 code points that holds them."""
    blocks = Counter(ord(letter) >> 7 for letter in text if letter.isalpha())
    return "".join(str(block) for block, _ in blocks.most_common(1))


def _foreign(text: str, block: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    # Latin's accented letters are in the second block: they are no other language.
    near = {int(block), 1} if block == "0" else {int(block)}
    return sum(ord(letter) >> 7 not in near for letter in letters) / len(letters) if letters else 0.0
