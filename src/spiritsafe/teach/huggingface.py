"""``hf:FOLDER``: a causal language model in a folder, with safetensors weights and a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.teach.kv import ATTENTION, register_attention
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Json, Options

# Families whose attention is causal over everything before it, and whose logits are the head's output as it stands.
FAMILIES = ("gemma", "llama", "mistral", "olmo2", "qwen2", "qwen3")


def open_folder(rest: str, options: Options) -> LocalTeacher:
    """Open ``FOLDER``. Its name on the wire is the folder's; no code from the folder is run, nothing is fetched."""
    folder = Path(rest).expanduser()
    return load(folder, name=folder.resolve().name, terms_id=_terms_id(folder), options=options)


def load(folder: Path, *, name: str, terms_id: str, options: Options) -> LocalTeacher:
    """Load the model in ``folder``.

    Raises InputError for a folder without config, tokenizer or safetensors, with damaged weights, or of
    a family whose attention the engine does not do (see ``FAMILIES``; no sliding windows).
    """
    _check(folder)
    register_attention()
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_dtype(options),
                attn_implementation=ATTENTION,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the model can't be loaded: {error}",
            where=str(folder),
            remedy="Check that the folder is whole: config.json, tokenizer.json and every .safetensors file.",
        ) from error
    model.to(_device(options))
    model.eval()
    return LocalTeacher(name=name, terms_id=terms_id, model=model, tokenizer=tokenizer, options=options)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no remarks from transformers while it loads; what it was set to comes back."""
    untyped: Any = transformers_logging
    bars, level = untyped.is_progress_bar_enabled(), untyped.get_verbosity()
    untyped.disable_progress_bar()
    untyped.set_verbosity_error()
    try:
        yield
    finally:
        untyped.set_verbosity(level)
        if bars:
            untyped.enable_progress_bar()


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="Give hf:FOLDER with a model in it.")
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise InputError(
            f"the folder has no {', no '.join(missing)}",
            where=str(folder),
            remedy="Save the model there with save_pretrained(safe_serialization=True), its tokenizer too.",
        )
    config = _config(folder)
    family = config.get("model_type")
    if family not in FAMILIES:
        raise InputError(
            f"models of type {family!r} are not run here",
            where=str(folder / "config.json"),
            remedy=f"Types are {', '.join(FAMILIES)}. Serve others elsewhere and use openai:URL#model.",
        )
    sliding = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    if sliding is not None and sliding < config.get("max_position_embeddings", 0):
        raise InputError(
            f"its attention slides over {sliding} tokens, which is not done here",
            where=str(folder / "config.json"),
            remedy="Serve it elsewhere and use openai:URL#model.",
        )


def _config(folder: Path) -> Json:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise InputError(
            f"not JSON: {error}", where=str(folder / "config.json"), remedy="Copy the model folder again."
        ) from error
    if not isinstance(config, dict):
        raise InputError("not an object", where=str(folder / "config.json"), remedy="Copy the model folder again.")
    return config


def _terms_id(folder: Path) -> str:
    """The name under which the model was published, if its configuration still says so; else the folder's."""
    path = folder / "config.json"
    published = _config(folder).get("_name_or_path") if path.is_file() else None
    if isinstance(published, str) and published.count("/") == 1 and not published.startswith((".", "/")):
        return published
    return folder.resolve().name


def _device(options: Options) -> torch.device:
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=options.device).device
    except (RuntimeError, AssertionError) as error:
        raise ResourceError(
            f"there is no device {options.device!r}", where="device", remedy="Give auto, cpu, cuda or mps."
        ) from error


def _dtype(options: Options) -> torch.dtype:
    """``auto`` is bfloat16 where the device computes in it, else float32: emulated it is 2 to 4 times slower."""
    if options.dtype != "auto":
        chosen: torch.dtype = getattr(torch, options.dtype)
        return chosen
    return torch.bfloat16 if native_bfloat16(_device(options)) else torch.float32


def native_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` computes in bfloat16 rather than emulating it."""
    if device.type != "cpu":
        return True
    able = torch.cpu.get_capabilities()
    return any(able.get(feature) for feature in ("amx_bf16", "avx512_bf16", "bf16"))
