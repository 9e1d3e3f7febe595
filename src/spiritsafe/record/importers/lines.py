"""Opening logs, plain or gzipped, and cutting them into lines or JSON documents; every trouble has its place."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import msgspec

from spiritsafe.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GZIP = b"\x1f\x8b"


def open_log(path: Path) -> BinaryIO:
    """Open a log for reading, gunzipped if it is gzipped. Raises InputError where that can't be done."""
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP
        return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"the log can't be read: {reason}", remedy="Check its name and rights", where=str(path)
        ) from error


def text_lines(path: Path) -> Iterator[tuple[str, str] | Problem]:
    """Yield each line that isn't blank with its place (``file:line``)."""
    number = 0
    with open_log(path) as file:
        try:
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                try:
                    text = line.decode().rstrip("\r\n")
                except UnicodeDecodeError as error:
                    yield Problem(where, f"the line is not UTF-8: {error.reason}", "Save the log as UTF-8")
                    continue
                if text.strip():
                    yield where, text
        except (OSError, EOFError, zlib.error) as error:
            yield Problem(f"{path}:{number + 1}", f"the log ends here: {error}", "Take the whole file")


def json_documents(path: Path) -> Iterator[tuple[str, dict[str, Any]] | Problem]:
    """Yield the JSON objects of a log: one a line, or one that is the whole file."""
    lines = text_lines(path)
    first = next(lines, None)
    if first is None:
        return
    if not isinstance(first, Problem) and _begins(first[1]):
        whole = _whole(path)
        if whole is not None:
            yield f"{path}:1", whole
            return
    yield _object(first)
    for line in lines:
        yield _object(line)


def _object(line: tuple[str, str] | Problem) -> tuple[str, dict[str, Any]] | Problem:
    if isinstance(line, Problem):
        return line
    where, text = line
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return Problem(where, f"the line is not JSON: {error}", "Give one JSON object a line")
    if not isinstance(value, dict):
        return Problem(where, "the line is not a JSON object", "Give one JSON object a line")
    return where, value


def _begins(line: str) -> bool:
    """Whether a line begins an object without ending it."""
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return line.lstrip().startswith("{")
    return False


def _whole(path: Path) -> dict[str, Any] | None:
    with open_log(path) as file:
        try:
            value = msgspec.json.decode(file.read())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError, EOFError, zlib.error):
            return None
    return value if isinstance(value, dict) else None
