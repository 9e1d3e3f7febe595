"""A student as one GGUF file, the form that llama.cpp reads.

What is written is what ``tokenizer.json`` and ``config.json`` say; where llama.cpp has no word for it, writing is
refused instead of handing over a file that answers differently. Conventions: convert_hf_to_gguf.py of llama.cpp.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from spiritsafe.distill.weights import load_tokenizer
from spiritsafe.errors import InputError

Kind = Literal["F32", "F16", "BF16"]

# Families whose blocks are llama.cpp's as they stand. In its "llama" the halves of a head's rotation lie interleaved.
ARCHITECTURES = {
    "llama": gguf.MODEL_ARCH.LLAMA,
    "mistral": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
}
FILE_TYPES = {
    "F32": gguf.LlamaFileType.ALL_F32,
    "F16": gguf.LlamaFileType.MOSTLY_F16,
    "BF16": gguf.LlamaFileType.MOSTLY_BF16,
}
_HALF_MAX = 65504.0

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_BYTES = {"type": "ByteLevel", "add_prefix_space": False}
# How a text is split before merging, under the names that llama.cpp has for it.
SPLITS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_BYTES | {"use_regex": True}],
    "smollm": [{"type": "Digits", "individual_digits": True}, _BYTES | {"use_regex": True}],
    "llama-bpe": [
        {"type": "Split", "pattern": {"Regex": rf"{_WORDS}\p{{N}}{{1,3}}{_REST}"}, "behavior": "Isolated"},
        _BYTES | {"use_regex": False},
    ],
    "qwen2": [
        {"type": "Split", "pattern": {"Regex": rf"{_WORDS}\p{{N}}{_REST}"}, "behavior": "Isolated"},
        _BYTES | {"use_regex": False},
    ],
}


class Vocabulary(NamedTuple):
    """A byte-level BPE as llama.cpp takes it: token i is ``tokens[i]`` of kind ``kinds[i]``."""

    split: str
    tokens: list[str]
    kinds: list[gguf.TokenType]
    merges: list[str]


def write_gguf(folder: Path, path: Path, *, name: str, kind: Kind | None = None) -> Kind:
    """Write the model in the Hugging Face ``folder`` to ``path``; matrices as ``kind``, vectors in float32.

    Without ``kind``, bfloat16 stays BF16 and everything else becomes F16 (BF16 if a weight is too large for F16).
    Returns the kind. Raises ``InputError`` for a model that llama.cpp would run differently.
    """
    config = _config(folder)
    architecture = ARCHITECTURES[config.model_type]
    tokenizer = load_tokenizer(folder)
    words = vocabulary(json.loads((folder / "tokenizer.json").read_bytes()), config.vocab_size, folder)
    chosen = kind or _kind(folder)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[architecture])
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(int(FILE_TYPES[chosen]))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_shape(writer, config)
    _add_vocabulary(writer, words, tokenizer)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    factors = _rotation_factors(config)
    for own, shape, _ in _tensors(folder, config):
        size = 4 if len(shape) == 1 or chosen == "F32" else 2
        raw = gguf.GGMLQuantizationType.F32 if size == 4 else gguf.GGMLQuantizationType[chosen]
        nbytes = size * int(np.prod(shape))
        writer.add_tensor_info(_renamed(names, own, folder), shape, np.dtype(np.float32), nbytes, raw)
    if factors is not None:
        writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    permuted = architecture == gguf.MODEL_ARCH.LLAMA
    for own, shape, read in _tensors(folder, config):
        tensor = _interleaved(own, read(), config) if permuted else read()
        writer.write_tensor_data(_array(tensor, "F32" if len(shape) == 1 else chosen))
    if factors is not None:
        writer.write_tensor_data(factors)
    writer.close()
    return chosen


def vocabulary(spec: dict[str, Any], size: int, where: Path) -> Vocabulary:
    """The vocabulary in the content of a ``tokenizer.json``, filled up with unused tokens to ``size``.

    Raises ``InputError`` for a tokenizer that llama.cpp could not repeat.
    """
    model = spec["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise _unwritable(f"its tokenizer is {model.get('type')}, not byte-level BPE", where)
    if spec.get("normalizer") not in (None, {"type": "NFC"}):
        raise _unwritable(f"its tokenizer changes the text first ({spec['normalizer'].get('type')})", where)
    tokens: dict[int, str] = {i: token for token, i in model["vocab"].items()}
    kinds = dict.fromkeys(tokens, gguf.TokenType.NORMAL)
    for added in spec["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    if tokens and max(tokens) >= size:
        raise _unwritable(f"its tokenizer has {max(tokens) + 1} tokens, its embedding {size}", where)
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    return Vocabulary(
        _split(spec.get("pre_tokenizer"), where),
        [tokens.get(i, f"[PAD{i}]") for i in range(size)],
        [kinds.get(i, gguf.TokenType.UNUSED) for i in range(size)],
        merges,
    )


def _split(pre: dict[str, Any] | None, where: Path) -> str:
    """llama.cpp's name for a pre-tokenizer."""
    steps = [] if pre is None else pre["pretokenizers"] if pre.get("type") == "Sequence" else [pre]
    for name, wanted in SPLITS.items():
        if len(steps) == len(wanted) and all(w.items() <= s.items() for w, s in zip(wanted, steps, strict=True)):
            return name
    raise _unwritable("its tokenizer splits text in a way that llama.cpp has no name for", where)


def _config(folder: Path) -> Any:
    config: Any = AutoConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type not in ARCHITECTURES:
        raise _unwritable(f"it is of type {config.model_type!r}, not {', '.join(ARCHITECTURES)}", folder)
    sliding = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if sliding is not None and sliding < config.max_position_embeddings:
        raise _unwritable(f"its attention slides over {sliding} tokens", folder)
    return config


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _add_shape(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_rope_dimension_count(_head_dim(config))
    if _head_dim(config) * config.num_attention_heads != config.hidden_size:
        writer.add_key_length(_head_dim(config))
        writer.add_value_length(_head_dim(config))


def _add_vocabulary(writer: gguf.GGUFWriter, words: Vocabulary, tokenizer: Any) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words.split)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.kinds)
    writer.add_token_merges(words.merges)
    for add, number in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if number is not None:
            add(number)
    bare, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(full[:1] != bare[:1] and full[:1] == [tokenizer.bos_token_id])
    writer.add_add_eos_token(full[-1:] != bare[-1:] and full[-1:] == [tokenizer.eos_token_id])
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _rotation_factors(config: Any) -> NDArray[np.float32] | None:
    """By how much each frequency of the rotation is slowed down, None for none (Llama 3.1 and later slow some)."""
    kind = config.rope_parameters.get("rope_type", "default")
    if kind == "default":
        return None
    if kind not in ("linear", "llama3"):
        raise _unwritable(f"its positions are scaled by {kind!r}", Path(config.name_or_path))
    scaled, _ = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    dimension = _head_dim(config)
    powers = torch.arange(0, dimension, 2, dtype=torch.float32) / dimension
    plain = 1.0 / (config.rope_parameters["rope_theta"] ** powers)
    factors: NDArray[np.float32] = (plain / scaled).float().numpy()
    return factors


def _tensors(folder: Path, config: Any) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Name, shape and a function that reads it, for every tensor that is not another one's twin, files in order."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file of safetensors is no mapping
                if name == "lm_head.weight" and config.tie_word_embeddings:
                    continue
                part = file.get_slice(name)
                yield name, tuple(part.get_shape()), lambda part=part: part[:]


def _renamed(names: gguf.TensorNameMap, own: str, where: Path) -> str:
    found = names.get_name(own, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise _unwritable(f"llama.cpp has no place for its tensor {own}", where)
    return found


def _interleaved(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Queries and keys in the order in which llama.cpp rotates them: (i, i + half) become neighbours."""
    if ".q_proj." in name:
        heads = config.num_attention_heads
    elif ".k_proj." in name:
        heads = config.num_key_value_heads
    else:
        return tensor
    halves = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _kind(folder: Path) -> Kind:
    """The 16-bit kind that loses least."""
    largest = 0.0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a file of safetensors is no mapping
                tensor = file.get_tensor(name)
                if tensor.dtype == torch.bfloat16:
                    return "BF16"
                largest = max(largest, float(tensor.abs().max()))
    return "F16" if largest <= _HALF_MAX else "BF16"


def _array(tensor: Tensor, kind: Kind) -> NDArray[Any]:
    if kind == "BF16":
        return tensor.to(torch.bfloat16).contiguous().view(torch.int16).numpy()
    return tensor.to(torch.float16 if kind == "F16" else torch.float32).contiguous().numpy()


def _unwritable(what: str, where: Path) -> InputError:
    return InputError(
        f"no GGUF file can stand for this model: {what}",
        remedy="Set seal.gguf to false; the safetensors folder is whole without it.",
        where=str(where),
    )
