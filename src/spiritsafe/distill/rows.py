"""Prompts in, rows of answers through the stages: reading, splitting off the held-out part, and the files between."""

from __future__ import annotations

import gzip
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from spiritsafe.distill.prompts import generate
from spiritsafe.distill.recipe import Prompts
from spiritsafe.errors import InputError


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt. ``prompt_id`` is a digest of its text, so the same prompt is the same in every run."""

    prompt_id: str
    text: str
    answer: str | None = None
    source: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one prompt. ``known`` is the right answer where the prompts came with one; ``reason`` says why
    curation dropped the row, and is None for a row that was kept.
    """

    prompt_id: str
    prompt: str
    sample: int
    answer: str
    reasoning: str | None = None
    known: str | None = None
    finish: str | None = None
    held_out: bool = False
    exchange_id: str
    source: str
    reason: str | None = None


_SCHEMA = pa.schema(
    [
        pa.field(f.name, {"sample": pa.int32(), "held_out": pa.bool_()}.get(f.name, pa.large_string()))
        for f in msgspec.structs.fields(Row)
    ]
)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write ``rows`` to one Parquet file, in the order given."""
    pq.write_table(pa.Table.from_pylist([msgspec.structs.asdict(r) for r in rows], schema=_SCHEMA), path)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file that ``write_rows`` wrote."""
    return [Row(**r) for r in pq.read_table(path).to_pylist()]


def normal(text: str) -> str:
    """Unicode NFC with runs of white space as one space: what makes two prompts the same prompt."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def prompt_id(text: str) -> str:
    """The first 128 bits of SHA-256 of the normal form, in hex."""
    return hashlib.sha256(normal(text).encode()).hexdigest()[:32]


def is_held_out(identifier: str, share: float, seed: int) -> bool:
    """Whether the prompt belongs to the held-out part: a coin that depends on the prompt and the seed alone."""
    digest = hashlib.sha256(f"held-out:{seed}:{identifier}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def all_prompts(sections: Iterable[Prompts], find: Callable[[str], Path]) -> list[Prompt]:
    """The prompts of all sections, read or generated, each text once. ``find`` gives the path of a file's name."""
    found: dict[str, Prompt] = {}
    for section in sections:
        several = generated(section) if section.file is None else read_prompts(section, find(section.file))
        for prompt in several:
            found.setdefault(prompt.prompt_id, prompt)
    return list(found.values())


def generated(section: Prompts) -> list[Prompt]:
    """The prompts that a section with ``generate`` asks for. Raises ``InputError`` if there are not so many."""
    items = generate(section.generate or "", section.count or 0, section.seed)[: section.limit]
    return [Prompt(prompt_id=prompt_id(i.text), text=i.text, answer=i.answer, source=section.name) for i in items]


def read_prompts(section: Prompts, path: Path) -> list[Prompt]:
    """The prompts of one file, exact repetitions once, in the file's order.

    Raises ``InputError`` naming file and line (or column) for anything that is not a prompt.
    """
    found: dict[str, Prompt] = {}
    for place, record in _records(section, path):
        text = record.get(section.field)
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"no text in {section.field!r} (the names here: {', '.join(map(repr, record)) or 'none'})",
                remedy="Set the prompts' 'field' to the name that holds the prompt, or mend this line.",
                where=place,
            )
        known = record.get(section.answer) if section.answer else None
        if section.answer and known is None:
            raise InputError(
                f"no {section.answer!r}", remedy="Set the prompts' 'answer' to the right name, or drop it.", where=place
            )
        identifier = prompt_id(text)
        answer = None if known is None else str(known)
        found.setdefault(identifier, Prompt(prompt_id=identifier, text=text, answer=answer, source=section.name))
        if section.limit is not None and len(found) >= section.limit:
            break
    if not found:
        raise InputError("no prompts in it", remedy="Give a file with at least one.", where=str(path))
    return list(found.values())


def _records(section: Prompts, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with its place. The ending says the format: .jsonl, .jsonl.gz, .parquet, anything else is text."""
    try:
        if path.suffix == ".parquet":
            yield from _parquet(section, path)
        else:
            opener = gzip.open if path.suffix == ".gz" else open
            with opener(path, "rt", encoding="utf-8") as lines:
                json_lines = ".jsonl" in path.suffixes or path.suffix == ".json"
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        place = f"{path}:{number}"
                        yield place, (_json(line, place) if json_lines else {section.field: line.rstrip("\n")})
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InputError(
            f"can't be read as prompts: {error}", remedy="Give UTF-8 JSON lines, text, or Parquet.", where=str(path)
        ) from error


def _json(line: str, place: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InputError(f"not a JSON object: {error}", remedy="Write one object a line.", where=place) from error


def _parquet(section: Prompts, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    file = pq.ParquetFile(path)
    wanted = [section.field, *([section.answer] if section.answer else [])]
    missing = [name for name in wanted if name not in file.schema_arrow.names]
    if missing:
        raise InputError(
            f"no column {', '.join(map(repr, missing))}",
            remedy=f"The columns here: {', '.join(file.schema_arrow.names)}.",
            where=str(path),
        )
    row = 0
    for batch in file.iter_batches(columns=wanted):
        for record in batch.to_pylist():
            row += 1
            yield f"{path} row {row}", record
