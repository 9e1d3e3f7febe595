"""Where a teacher's weights and tokenizer lie on this machine, for those stages that need more than its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from spiritsafe.errors import UsageError
from spiritsafe.teach.cache import converted, file_digest
from spiritsafe.teach.embedded import SHA256, find
from spiritsafe.teach.huggingface import quiet


def weights_folder(source: str) -> Path:
    """The Hugging Face folder of a teacher whose weights are open to us; a GGUF file is converted once.

    Raises ``UsageError`` for a teacher behind an API.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "hf":
        return Path(rest).expanduser()
    if scheme == "gguf":
        path = Path(rest).expanduser()
        return converted(path, file_digest(path))
    if scheme == "smollm2":
        return converted(find(), SHA256)
    raise UsageError(
        f"the weights of {source} are not on this machine",
        remedy="Use a loss that needs only answers (sft, or a cache of its top logprobs), or a teacher with weights.",
    )


def has_weights(source: str) -> bool:
    """Whether ``weights_folder`` knows where to look."""
    return source.partition(":")[0] in ("hf", "gguf", "smollm2")


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer in a Hugging Face folder."""
    with quiet():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
