"""GGUF files converted once to safetensors folders, and kept."""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import logging
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.teach.huggingface import quiet

# Raise it when what a conversion writes changes.
FORM = 2
# Written last: a folder that has it is whole.
MANIFEST = "spiritsafe.json"

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """``$SPIRITSAFE_CACHE``, else ``spiritsafe`` in the user's cache (XDG)."""
    own = os.environ.get("SPIRITSAFE_CACHE")
    if own:
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "spiritsafe"


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def converted(gguf: Path, digest: str) -> Path:
    """The folder with ``gguf`` (whose SHA-256 is ``digest``) as bfloat16 safetensors; made now if it is not there yet.

    Takes about a minute the first time. Keyed by the digest, the form of our conversion and the versions of
    the libraries that convert. Two processes don't convert twice: one waits for the other. Raises
    InputError for a file that is no readable GGUF model, ResourceError if the cache can't be written.
    """
    key = f"{digest[:24]}-form{FORM}-transformers{version('transformers')}-gguf{version('gguf')}"
    folder = cache_folder() / "models" / key
    if (folder / MANIFEST).is_file():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder.with_name(f"{key}.lock")):
            if not (folder / MANIFEST).is_file():
                log.info("converting %s once, about a minute", gguf.name)
                _convert_into(folder, gguf, digest)
    except OSError as error:
        raise ResourceError(
            f"the converted model can't be written: {error.strerror or error}",
            where=str(folder),
            remedy="Free about 300 MB there, or set SPIRITSAFE_CACHE to another folder.",
        ) from error
    return folder


def _convert_into(folder: Path, gguf: Path, digest: str) -> None:
    """Convert beside ``folder`` and put it there whole. Only who holds the lock may call it."""
    # With the lock held, whatever else is beside it was left by a process that was killed.
    for left in folder.parent.glob(f"{folder.name}.partial-*/"):
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
    try:
        _convert(gguf, partial)
        manifest = {"source": gguf.name, "sha256": digest, "form": FORM, "dtype": "bfloat16"}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    try:
        with quiet():
            packed: Any = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
                local_files_only=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
            _split_digits(tokenizer, gguf)
    except (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, EOFError, struct.error) as error:
        raise InputError(
            f"not a GGUF model that can be read: {error}",
            where=str(gguf),
            remedy="Give a whole file of a Llama-like model, or serve it elsewhere and use openai:URL#model.",
        ) from error
    with quiet():
        # A model loaded from GGUF refuses to be saved as it is; an equal one that was not does not.
        config = copy.deepcopy(packed.config)
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        untyped: Any = AutoModelForCausalLM
        plain = untyped.from_config(config, dtype=torch.bfloat16)
        plain.load_state_dict(packed.state_dict())
        plain.generation_config = packed.generation_config
        plain.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _split_digits(tokenizer: Any, gguf: Path) -> None:
    """Cut numbers into single digits where the file's model was trained so: transformers does not carry it over."""
    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        digits = pre_tokenizers.Digits(individual_digits=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, bytes_only])


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
