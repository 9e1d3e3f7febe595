"""A trained model as what is handed over: a Hugging Face folder, byte for byte what was trained and measured."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from spiritsafe.errors import InputError

# What a model's folder may hold. Anything else that lies there (checkpoints, adapters, code) is not handed over.
FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
)
NOTICES = ("LICENSE*", "LICENCE*", "NOTICE*")
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


class Exported(NamedTuple):
    """``files`` and ``weights`` (the safetensors among them) by name; ``parameters`` as stored, tied ones once."""

    files: tuple[str, ...]
    weights: tuple[str, ...]
    parameters: int
    dtypes: tuple[str, ...]


def export(model: Path, out: Path, *, notices: Path | None = None) -> Exported:
    """Copy the model in ``model`` into the folder ``out``, and the licence texts that lie in ``notices``.

    Raises ``InputError`` for a folder that is not whole, has adapters that were not merged, or weights that are no
    numbers.
    """
    missing = [name for name in NEEDED if not (model / name).is_file()]
    weights = sorted(model.glob("model*.safetensors"))
    if missing or not weights:
        raise _unfit(f"it has no {', no '.join(missing or ['model.safetensors'])}", model)
    parameters, dtypes = 0, set[str]()
    for path in weights:
        count, found = _check(path)
        parameters += count
        dtypes |= found
    chosen = [path for pattern in FILES for path in sorted(model.glob(pattern))]
    if notices is not None:
        chosen += [path for pattern in NOTICES for path in sorted(notices.glob(pattern))]
    out.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        shutil.copyfile(path, out / path.name)
    names = tuple(path.name for path in chosen)
    return Exported(names, tuple(p.name for p in weights), parameters, tuple(sorted(dtypes)))


def _check(path: Path) -> tuple[int, set[str]]:
    """How many weights a file holds and of which types, having looked at each."""
    count, dtypes = 0, set()
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file of safetensors is no mapping
                if "lora_" in name:
                    raise _unfit(f"its adapter {name} is not merged into the weights", path)
                tensor = file.get_tensor(name)
                if not bool(torch.isfinite(tensor).all()):
                    raise _unfit(f"its tensor {name} holds what is no number", path)
                count += math.prod(tensor.shape)
                dtypes.add(str(tensor.dtype).removeprefix("torch."))
    except SafetensorError as error:
        raise _unfit(f"it can't be read: {error}", path) from error
    return count, dtypes


def _unfit(what: str, where: Path) -> InputError:
    return InputError(
        f"the model can't be sealed: {what}", remedy="Train it again, or mend the folder.", where=str(where)
    )
