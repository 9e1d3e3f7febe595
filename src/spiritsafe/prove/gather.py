"""Making a case: from the pairs that a gateway kept, from marked answers in its record, or from one's own texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.lines import read_lines
from spiritsafe.protect.keys import Commitment, Keyring
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.twins import (
    KEY_BYTES,
    Committed,
    Pair,
    choose,
    commitment,
    commitments_in,
    epoch_key,
    epoch_of,
    lines_of,
    pairs_in,
    turns_of,
)
from spiritsafe.prove.instruments.radioactivity import Questions
from spiritsafe.prove.instruments.tracing import TracedQuestions
from spiritsafe.record.keys import read_secret
from spiritsafe.record.reader import read

CASE, COMMITMENT = "case.yaml", "commitment.json"
PAIRS, SECRET, PUBLISH = "pairs.jsonl", "twins.key", "publish.jsonl"
QUESTIONS, MARK_SECRET = "questions.json", "mark.key"

FORM = """# What is tested, and how. A plan made of it is committed to before the suspect is asked:
#   spiritsafe prove --case {case} --commit
version: 1
name: {name}
subject: {subject}
alpha: 0.01
stopping: fixed        # or anytime: by e-values, which may be looked at again
controls: []           # models that can't have seen the data: hf:FOLDER, openai:URL#model
decoys: 9
seed: 1
tests:
  - test: {test}
    inputs: {inputs}
    secret: {secret}
    commitment: {commitment}
    # reference: smollm2   # best the teacher itself, unmarked: it never saw the {unseen}
    options: {options}
"""

MOST = 2_000
"""Distinct prompts that a suspect is asked about a mark: those with the smallest digests, which nobody chose."""


class Text(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rights holder's text in two versions of equal standing. ``prompt`` is what a model would be asked to say it."""

    name: str
    versions: tuple[str, str]
    prompt: str = ""


def from_twins(data: Path, epoch: str, folder: Path, subject: str) -> Path:
    """A case from the twins of one epoch in a gateway's data folder; gives the case's file.

    The epoch's key is copied into the case: its epoch should be over, for whoever sees a key can tell its coins.
    Raises ``InputError`` where there are no pairs of that epoch, or no commitment.
    """
    log = data / "twins" / "record"
    pairs: list[Pair] = [p for p in pairs_in(exchange for _, exchange in read(log)) if p.epoch == epoch]
    committed = commitments_in(exchange for _, exchange in read(log)).get(epoch)
    if not pairs or committed is None:
        raise InputError(
            f"there are no twins of {epoch!r} here",
            where=str(log),
            remedy="Serve with --twins 0.02 and wait, or name another epoch such as 2026-11.",
        )
    key = epoch_key(read_secret(data / "twins" / "keys" / "twins.key"), epoch)
    return _write_twins(folder, pairs, key, committed, subject)


def from_marks(data: Path, epoch: int, folder: Path, subject: str, tokenizer: Callable[[], Path]) -> Path:
    """A case from the answers that were marked in one epoch, by tenant where the mark says for whom; gives its file.

    ``tokenizer`` finds the marked model's ``tokenizer.json``, for a mark that counts tokens. The epoch's secret is
    copied into the case: begin the next epoch first. Raises ``InputError`` where nothing of that epoch is in the
    record, or its text was not kept.
    """
    ring = Keyring(data)
    committed = ring.epoch(epoch)
    name = committed.mark or ""
    log = data / "record"
    marked = [each for _, each in read(log) if each.mark_id == committed.mark_id]
    prompts = {turns_of(each)[-1]["content"] for each in marked if each.messages}
    if not prompts:
        what = "the text of what was marked was not kept" if marked else f"nothing is marked {committed.mark_id}"
        remedy = "Name another epoch (spiritsafe mark list), or write the questions yourself."
        raise InputError(what, where=str(log), remedy=remedy)
    asked: dict[str, object] = {
        "prompts": tuple(sorted(prompts, key=lambda text: hashlib.sha256(text.encode()).digest())[:MOST]),
        "first": min(each.time for each in marked),
        "last": max(each.time for each in marked),
        "tokenizer": tokenizer().read_text(encoding="utf-8") if mark(name).unit == "tokens" else None,
    }
    traced = isinstance(mark(name), Traced)
    if traced:
        asked["tenants"] = tuple(sorted({each.account_id for each in marked}))
    questions = msgspec.convert(asked, TracedQuestions if traced else Questions)
    test = _Test("tracing" if traced else "radioactivity", QUESTIONS, MARK_SECRET, {"mark": name, "epoch": str(epoch)})
    written = msgspec.json.encode(questions, order="sorted") + b"\n"
    return _write(folder, test, written, ring.epoch_secret(epoch), committed, subject)


def from_texts(path: Path, folder: Path, subject: str, now: datetime | None = None) -> Path:
    """A case from texts in two versions each, with a fresh key; gives the case's file.

    ``publish.jsonl`` says which version of each to publish. The other versions stay with you. Publish the commitment
    first. Raises ``InputError`` naming the line that is no text.
    """
    texts: dict[str, Text] = {}
    for where, text in read_lines(path, Text, what="text", remedy="A line holds name and versions, two texts."):
        if text.name in texts or text.versions[0] == text.versions[1]:
            raise InputError("its name came before, or its versions are the same", where=where, remedy="Change it.")
        texts[text.name] = text
    if not texts:
        raise InputError("there are no texts", where=str(path), remedy="Give a line a text.")
    made, key = now or datetime.now(UTC), os.urandom(KEY_BYTES)
    epoch = epoch_of(made)
    pairs = [
        Pair(
            pair_id=text.name,
            time=made,
            epoch=epoch,
            messages=({"role": "user", "content": text.prompt or text.name},),
            answers=text.versions,
        )
        for text in texts.values()
    ]
    committed = Committed(epoch=epoch, digest=commitment(key, epoch), time=made)
    case = _write_twins(folder, pairs, key, committed, subject)
    chosen = choose({name: text.versions for name, text in texts.items()}, key)
    lines = [msgspec.json.encode({"name": name, "text": text}) + b"\n" for name, text in chosen.items()]
    (folder / PUBLISH).write_bytes(b"".join(lines))
    return case


class _Test(NamedTuple):
    name: str
    inputs: str
    secret: str
    options: dict[str, str]


def _write_twins(folder: Path, pairs: list[Pair], key: bytes, committed: Committed, subject: str) -> Path:
    test = _Test("twins", PAIRS, SECRET, {"epoch": committed.epoch})
    return _write(folder, test, lines_of(pairs), key, committed, subject)


def _write(
    folder: Path, test: _Test, inputs: bytes, secret: bytes, committed: Committed | Commitment, subject: str
) -> Path:
    path = folder / CASE
    if path.exists():
        raise InputError("there is a case already", where=str(path), remedy="Choose another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / test.inputs).write_bytes(inputs)
        fd = os.open(folder / test.secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(secret.hex() + "\n")
        (folder / COMMITMENT).write_bytes(msgspec.json.encode(committed, order="sorted") + b"\n")
        filled = FORM.format(
            case=path,
            name=msgspec.json.encode(folder.resolve().name).decode(),
            subject=msgspec.json.encode(subject).decode(),
            test=test.name,
            inputs=test.inputs,
            secret=test.secret,
            commitment=COMMITMENT,
            unseen="coins" if test.name == "twins" else "key",
            options=msgspec.json.encode(test.options).decode(),
        )
        path.write_text(filled)
    except OSError as error:
        raise ResourceError(
            f"the case can't be written: {error.strerror}", where=str(folder), remedy="Choose another folder."
        ) from error
    return path
