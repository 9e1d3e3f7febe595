from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from spiritsafe.distill.gguf import SPLITS, Kind, vocabulary, write_gguf
from spiritsafe.distill.student import prune_layers
from spiritsafe.errors import InputError, ResourceError
from spiritsafe.teach.huggingface import quiet

SHAPE: dict[str, Any] = {
    "vocab_size": 410,  # more rows than the tokenizer has tokens
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0},
}
MODELS: dict[str, tuple[type[PreTrainedModel], Any]] = {
    "llama": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=True)),
    "llama-untied": (LlamaForCausalLM, LlamaConfig(**SHAPE, tie_word_embeddings=False, head_dim=16)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SHAPE)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=128)),
}
TEXT = "<|im_start|>user\nA farmer has 12 hens, and it's the 345th day.<|im_end|>\n"


def random_model(kind: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A model whose every vector (norms, biases) is random as well, so that none can be left out unseen."""
    family, config = MODELS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model: Any = family(config)
        for weight in model.parameters():
            if weight.dim() == 1:
                torch.nn.init.normal_(weight, 1.0, 0.3)
    return model.to(dtype).eval()  # type: ignore[no-any-return]


def put(folder: Path, model: PreTrainedModel, model_folder: Path) -> Path:
    """``model`` with the small tokenizer of ``model_folder``."""
    with quiet():
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder)
    return folder


def back(path: Path) -> tuple[Any, Any]:
    """The model and tokenizer that transformers reads from a GGUF file."""
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
        return model.eval(), AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_read_back_computes_the_same(kind: str, tmp_path: Path, model_folder: Path) -> None:
    model = random_model(kind)
    folder = put(tmp_path / "m", model, model_folder)
    assert write_gguf(folder, tmp_path / "m.gguf", name="m", kind="F32") == "F32"
    read, tokenizer = back(tmp_path / "m.gguf")
    own = AutoTokenizer.from_pretrained(folder)
    ids = own(TEXT)["input_ids"]
    assert tokenizer(TEXT)["input_ids"] == ids
    assert (tokenizer.eos_token, tokenizer.pad_token) == (own.eos_token, own.pad_token)
    assert tokenizer.chat_template == own.chat_template
    torch.testing.assert_close(logits(read, ids), logits(model, ids), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "kind", "tolerance"),
    [(torch.float32, "F16", 2e-3), (torch.float16, "F16", 5e-3), (torch.bfloat16, "BF16", 3e-2)],
)
def test_the_kind_follows_the_weights(
    dtype: torch.dtype, kind: Kind, tolerance: float, tmp_path: Path, model_folder: Path
) -> None:
    model = random_model("llama", dtype)
    assert write_gguf(put(tmp_path / "m", model, model_folder), tmp_path / "m.gguf", name="m") == kind
    read, _ = back(tmp_path / "m.gguf")
    ids = list(range(20, 60))
    torch.testing.assert_close(logits(read, ids), logits(model.float(), ids), rtol=0, atol=tolerance)
    if dtype != torch.float32:  # no bit is lost
        state = model.to(dtype).state_dict()
        for name, weight in read.state_dict().items():
            assert torch.equal(weight.to(dtype), state[name]), name


def test_weights_too_large_for_float16_are_written_as_bfloat16(tmp_path: Path, model_folder: Path) -> None:
    model = random_model("llama")
    with torch.no_grad():
        model.get_parameter("model.layers.0.mlp.up_proj.weight")[0, 0] = 1e6
    assert write_gguf(put(tmp_path / "m", model, model_folder), tmp_path / "m.gguf", name="m") == "BF16"


def fields(path: Path) -> dict[str, Any]:
    return {f.name: f.contents() for f in gguf.GGUFReader(path).fields.values() if not f.name.startswith("GGUF.")}


def test_everything_that_llama_cpp_asks_for_is_said(tmp_path: Path, model_folder: Path) -> None:
    folder = put(tmp_path / "m", random_model("llama-untied"), model_folder)
    write_gguf(folder, tmp_path / "m.gguf", name="a name")
    found = fields(tmp_path / "m.gguf")
    tokens = found.pop("tokenizer.ggml.tokens")
    kinds = found.pop("tokenizer.ggml.token_type")
    merges = found.pop("tokenizer.ggml.merges")
    spec = json.loads((folder / "tokenizer.json").read_text())
    known = sorted(spec["model"]["vocab"], key=spec["model"]["vocab"].get)
    assert tokens == known + [f"[PAD{i}]" for i in range(len(known), 410)]
    assert kinds == [3, 3] + [1] * (len(known) - 2) + [5] * (410 - len(known))
    assert merges == [" ".join(m) for m in spec["model"]["merges"]]
    assert found.pop("llama.attention.layer_norm_rms_epsilon") == pytest.approx(1e-6)
    assert "im_start" in found.pop("tokenizer.chat_template")
    assert found == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "a name",
        "general.file_type": 1,
        "general.quantization_version": 2,
        "llama.vocab_size": 410,
        "llama.context_length": 128,
        "llama.embedding_length": 32,
        "llama.block_count": 2,
        "llama.feed_forward_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 16,
        "llama.attention.value_length": 16,
        "llama.rope.freq_base": 5000.0,
        "llama.rope.dimension_count": 16,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 1,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
    }
    names = {t.name: tuple(int(n) for n in t.shape) for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors}
    assert names["token_embd.weight"] == names["output.weight"] == (32, 410)
    assert names["blk.1.attn_k.weight"] == (32, 32)


def test_a_tokenizer_that_begins_every_text_with_a_token_says_so(tmp_path: Path, model_folder: Path) -> None:
    folder = put(tmp_path / "m", random_model("llama"), model_folder)
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [0], "tokens": ["<|im_start|>"]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"bos_token": "<|im_start|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    write_gguf(folder, tmp_path / "m.gguf", name="m")
    found = fields(tmp_path / "m.gguf")
    assert found["tokenizer.ggml.add_bos_token"] is True
    assert found["tokenizer.ggml.add_eos_token"] is False
    assert found["tokenizer.ggml.bos_token_id"] == 0


def test_slowed_rotations_become_factors(tmp_path: Path, model_folder: Path) -> None:
    """Linear scaling by 4 turns every frequency 4 times slower; Llama 3's leaves the fast ones as they are."""
    model = random_model("llama")
    for extra, lowest, highest in (
        ({"rope_type": "linear", "factor": 4.0}, 4.0, 4.0),
        (
            {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
            1.0,
            8.0,
        ),
    ):
        model.config.rope_parameters = {"rope_theta": 5000.0, **extra}
        write_gguf(put(tmp_path / "m", model, model_folder), tmp_path / "m.gguf", name="m")
        (factors,) = [t.data for t in gguf.GGUFReader(tmp_path / "m.gguf").tensors if t.name == "rope_freqs.weight"]
        assert factors.shape == (4,)
        assert (float(factors.min()), float(factors.max())) == (pytest.approx(lowest), pytest.approx(highest))
        assert np.all(np.diff(factors) >= 0)


def spec_with(tokenizer: Tokenizer, **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(tokenizer.to_str())
    spec["model"] |= changes.pop("model", {})
    return spec | changes


def test_every_way_of_splitting_that_llama_cpp_knows_is_named(small_tokenizer: Tokenizer) -> None:
    for name, steps in SPLITS.items():
        pre = steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}
        assert vocabulary(spec_with(small_tokenizer, pre_tokenizer=pre), 400, Path("t")).split == name
    digits = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    other = Tokenizer.from_str(small_tokenizer.to_str())
    other.pre_tokenizer = digits
    assert vocabulary(json.loads(other.to_str()), 400, Path("t")).split == "smollm"


def test_a_token_that_is_not_special_may_be_written_by_a_user(small_tokenizer: Tokenizer) -> None:
    spec = spec_with(small_tokenizer)
    size = small_tokenizer.get_vocab_size()
    spec["added_tokens"].append({"id": size, "content": "<tool>", "special": False})
    words = vocabulary(spec, size + 2, Path("t"))
    assert words.tokens[size:] == ["<tool>", f"[PAD{size + 1}]"]
    assert [int(kind) for kind in words.kinds[size:]] == [4, 5]


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({"model": {"type": "Unigram"}}, 400, "Unigram, not byte-level BPE"),
        ({"model": {"byte_fallback": True}}, 400, "not byte-level BPE"),
        ({"normalizer": {"type": "Lowercase"}}, 400, "changes the text first"),
        ({"pre_tokenizer": None}, 400, "splits text in a way"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "use_regex": True}}, 400, "splits text"),
        ({}, 300, "tokens, its embedding 300"),
    ],
)
def test_a_tokenizer_that_llama_cpp_can_not_repeat_is_refused(
    changes: dict[str, Any], size: int, message: str, small_tokenizer: Tokenizer
) -> None:
    with pytest.raises(InputError, match=f"{message}.*seal.gguf"):
        vocabulary(spec_with(small_tokenizer, **changes), size, Path("t"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gemma"}, "of type 'gemma'"),
        ({"model_type": "mistral", "sliding_window": 16}, "slides over 16 tokens"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "scaled by 'yarn'"),
    ],
)
def test_a_model_that_llama_cpp_would_run_differently_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, model_folder: Path
) -> None:
    config = json.loads((model_folder / "config.json").read_text()) | changes
    (model_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        write_gguf(model_folder, tmp_path / "m.gguf", name="m")


@pytest.mark.model
def test_a_cut_of_the_embedded_teacher_is_written_as_its_own_file_is(tmp_path: Path) -> None:
    from spiritsafe.distill.weights import load_tokenizer, weights_folder
    from spiritsafe.teach.embedded import find

    try:
        original = fields(find())
    except ResourceError as error:
        pytest.skip(str(error))
    folder = weights_folder("smollm2")
    with quiet():
        whole = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        prune_layers(whole, [0, 29]).save_pretrained(tmp_path / "m")
        load_tokenizer(folder).save_pretrained(tmp_path / "m")
    assert write_gguf(tmp_path / "m", tmp_path / "m.gguf", name="m") == "BF16"
    found = fields(tmp_path / "m.gguf")
    assert found.keys() - original.keys() <= {"tokenizer.ggml.add_eos_token"}
    about = {"general.name", "general.organization", "general.finetune", "general.basename", "general.size_label"}
    about |= {"general.license", "general.languages", "general.file_type", "llama.block_count", "tokenizer.ggml.pre"}
    same = original.keys() - about
    assert {k: found[k] for k in same} == {k: original[k] for k in same}
    # transformers may make a tokenizer of the file that splits otherwise; what the student learnt with is written.
    spec = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    assert found["tokenizer.ggml.pre"] == vocabulary(spec, 49152, tmp_path).split
