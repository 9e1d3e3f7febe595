"""Where a student comes from: a folder, a cut of the teacher by block influence, or a fresh configuration."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from spiritsafe.distill.losses.types import Head
from spiritsafe.errors import InputError, UsageError


def load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model in a Hugging Face folder (safetensors), in ``dtype``, for training or scoring."""
    if not (folder / "config.json").is_file():
        raise InputError("no config.json in it", remedy="Give a folder in the Hugging Face form.", where=str(folder))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
    return cast("PreTrainedModel", model)


def fresh_model(config: Path, dtype: torch.dtype, seed: int) -> PreTrainedModel:
    """A model with random weights from a ``config.json``; the same seed gives the same weights."""
    try:
        parsed = AutoConfig.from_pretrained(config, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"not a model's configuration: {error}", remedy="Give a config.json.", where=str(config)
        ) from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return cast("PreTrainedModel", cast("Any", AutoModelForCausalLM).from_config(parsed, dtype=dtype))


def body(model: PreTrainedModel) -> nn.Module:
    """The model without its head: what gives the last hidden states."""
    return model.base_model


def head_of(model: PreTrainedModel) -> Head:
    """The head with everything that bends its logits, so that a loss sees the model's own distribution."""
    projection = cast("Any", model).get_output_embeddings()
    if not isinstance(projection, nn.Linear):
        raise InputError(
            f"the head of {type(model).__name__} is a {type(projection).__name__}",
            remedy="Only models with a linear head can be trained.",
        )
    config = model.config
    scale = getattr(config, "logit_scale", None)
    if scale is None:
        divisor = getattr(config, "logits_scaling", None)
        scale = 1.0 / divisor if divisor else 1.0
    return Head(projection.weight, projection.bias, float(scale), getattr(config, "final_logit_softcapping", None))


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder's blocks, in order."""
    layers = getattr(body(model), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise InputError(
            f"{type(model).__name__} keeps its blocks in a form we don't know",
            remedy="Prune a model of the Llama form, or give the student as a folder.",
        )
    return layers


@torch.no_grad()
def block_influence(model: PreTrainedModel, batches: Iterable[Tensor]) -> list[float]:
    """For each block 1 - the mean cosine of its input and output over all tokens of ``batches`` (ids, [B, T]).

    Source: Men et al. 2024, "ShortGPT", equation 1. A block of low influence hardly turns the hidden state.
    """
    layers = layers_of(model)
    totals, count = [0.0] * len(layers), 0
    for ids in batches:
        seen: list[float] = []

        def look(
            module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any, to: list[float] = seen
        ) -> None:
            before = args[0] if args else kwargs["hidden_states"]
            after = out[0] if isinstance(out, tuple) else out
            to.append(float(torch.cosine_similarity(before.double(), after.double(), dim=-1).sum()))

        hooks = [layer.register_forward_hook(look, with_kwargs=True) for layer in layers]
        try:
            body(model)(input_ids=ids, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        totals = [a + b for a, b in zip(totals, seen, strict=True)]
        count += ids.numel()
    if not count:
        raise UsageError("no text to measure block influence on", remedy="Give at least one batch.")
    return [1.0 - total / count for total in totals]


def most_influential(influence: Sequence[float], keep: int) -> list[int]:
    """The ``keep`` blocks of highest influence, in the model's order. The first and last block always stay: what
    reads the embedding and what the head reads can't be judged by a cosine.
    """
    if not 1 <= keep <= len(influence):
        raise UsageError(f"the teacher has {len(influence)} layers, {keep} can't be kept", remedy="Ask for fewer.")
    ends = {0, len(influence) - 1} if keep > 1 else set()
    inner = sorted((i for i in range(len(influence)) if i not in ends), key=lambda i: (-influence[i], i))
    return sorted(ends | set(inner[: keep - len(ends)]))


def _like(model: PreTrainedModel, config: Any) -> PreTrainedModel:
    """A model of the same class and dtype with another configuration; its weights are yet to be loaded."""
    made: PreTrainedModel = cast("Any", type(model))(config)
    return cast("PreTrainedModel", cast("nn.Module", made).to(dtype=model.dtype))


def prune_layers(model: PreTrainedModel, keep: Sequence[int]) -> PreTrainedModel:
    """A copy of ``model`` with only the blocks ``keep``, in that order; the rest of its weights as they are."""
    count = len(layers_of(model))
    if not keep or list(keep) != sorted(set(keep)) or not 0 <= keep[0] <= keep[-1] < count:
        raise UsageError(f"layers {list(keep)} can't be kept", remedy=f"Name rising numbers from 0 to {count - 1}.")
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(keep)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in keep]
    student = _like(model, config)
    kept = {f".layers.{old}.": f".layers.{new}." for new, old in enumerate(keep)}
    state = {}
    for name, value in model.state_dict().items():
        if ".layers." not in name:
            state[name] = value
            continue
        prefix, _, rest = name.partition(".layers.")
        number, _, tail = rest.partition(".")
        if (target := kept.get(f".layers.{number}.")) is not None:
            state[f"{prefix}{target}{tail}"] = value
    student.load_state_dict(state)
    student.generation_config = copy.deepcopy(model.generation_config)
    return student


@torch.no_grad()
def keep_tokens(model: PreTrainedModel, kept: Sequence[int]) -> PreTrainedModel:
    """A copy of ``model`` whose row i of embedding and head is the old row ``kept[i]``. ``kept`` must hold the special
    tokens that the configuration names, and comes from ``vocabulary.cut``.
    """
    config = copy.deepcopy(model.config)
    place = {old: new for new, old in enumerate(kept)}
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        old = getattr(config, name, None)
        if old is not None:
            setattr(config, name, [place[o] for o in old] if isinstance(old, list) else place[old])
    config.vocab_size = len(kept)
    student = _like(model, config)
    state = dict(model.state_dict())
    index = torch.tensor(kept)
    vocabulary = model.config.vocab_size
    for name in [n for n, v in state.items() if "embed_tokens" in n or "lm_head" in n]:
        if state[name].shape[0] == vocabulary:
            state[name] = state[name][index]
    student.load_state_dict(state)
    student.generation_config = copy.deepcopy(model.generation_config)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(student.generation_config, name, getattr(config, name, None))
    return student


def parameters(model: PreTrainedModel) -> int:
    """How many weights it has; tied ones count once."""
    return sum(math.prod(p.shape) for p in model.parameters())
