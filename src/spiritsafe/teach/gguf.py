"""``gguf:FILE``: a GGUF model, converted once and kept (``cache``)."""

from __future__ import annotations

from pathlib import Path

from spiritsafe.errors import InputError
from spiritsafe.teach.cache import converted, file_digest
from spiritsafe.teach.huggingface import load
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Options

MAGIC = b"GGUF"


def open_file(rest: str, options: Options) -> LocalTeacher:
    """Open ``FILE``. Its name, on the wire and for its terms, is the file's without the suffix.

    Raises InputError for a file that is not GGUF.
    """
    path = Path(rest).expanduser()
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), remedy="Give gguf:FILE.")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(
                "this is not a GGUF file", where=str(path), remedy="Give a file that llama.cpp could read."
            )
    folder = converted(path, file_digest(path))
    return load(folder, name=path.stem, terms_id=path.stem, options=options)
