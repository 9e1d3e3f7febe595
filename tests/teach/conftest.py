"""A tiny teacher made on the spot: random weights, a tokenizer trained on a few lines, no download."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import uvicorn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spiritsafe.teach import open_teacher
from spiritsafe.teach.app import App
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.server import Server
from spiritsafe.teach.types import Options, Teacher

LINES = [
    "the still makes the spirit and the safe keeps it",
    "Every drop that leaves the still runs through a locked glass case.",
    'def f(x): return {"name": x, "arguments": [1, 2.5, true, null]}',
    "Größe, naïve café, 東京, 🥃 and 🔒 in one line",
]
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CHAT_WITH_TOOLS = (
    "{% if tools %}<|system|>{% for tool in tools %}{{ tool | tojson }}{% endfor %}<|end|>{% endif %}" + CHAT
)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
SMALL = Options(threads=1, batch=4, device="cpu", dtype="float32")


def build_tokenizer(template: str = CHAT) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(LINES * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>")
    tokenizer.chat_template = template
    return tokenizer


def build_model(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
        # Large weights: a random model with small ones likes every token alike, and near ties prove nothing.
        initializer_range=0.4,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = 0
    return model.eval()


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    return {"plain": CHAT, "with tools": CHAT_WITH_TOOLS}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A model folder called ``tiny``."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    build_model(len(tokenizer)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def plain(folder: Path) -> Any:
    """The same model as transformers runs it."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def teacher(folder: Path) -> Iterator[LocalTeacher]:
    with closing(open_teacher(f"hf:{folder}", SMALL)) as opened:
        assert isinstance(opened, LocalTeacher)
        yield opened


@contextmanager
def _served(teacher: Teacher) -> Iterator[str]:
    ready = threading.Event()
    server = Server(uvicorn.Config(App(teacher), port=0, log_level="warning", lifespan="off"), ready.set)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(120)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join(120)


@pytest.fixture(scope="session")
def served() -> Callable[[Teacher], Any]:
    """Serve a teacher on a free port: a context manager that gives the URL up to ``/v1``."""
    return _served


@pytest.fixture(scope="session")
def url(teacher: LocalTeacher) -> Iterator[str]:
    with _served(teacher) as address:
        yield address


def write_gguf(path: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """The model as llama.cpp would have it: GPT-2 tokenizer in the header, rotary halves interleaved."""
    config = model.config
    heads, key_heads = config.num_attention_heads, config.num_key_value_heads
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(10000.0)
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([piece for piece, _ in vocabulary])
    writer.add_token_types([3 if piece in SPECIAL else 1 for piece, _ in vocabulary])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_chat_template(CHAT)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "model.layers.": "blk.",
    }
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = weight.float().numpy()
        for kind, count in (("q_proj", heads), ("k_proj", key_heads)):
            if kind in name:
                halves = array.reshape(count, 2, array.shape[0] // count // 2, array.shape[1])
                array = halves.swapaxes(1, 2).reshape(array.shape)
        theirs = functools.reduce(lambda text, pair: text.replace(*pair), names.items(), name)
        writer.add_tensor(theirs, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """The same model as ``folder``, as ``small.gguf``."""
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    write_gguf(path, build_model(len(tokenizer)), tokenizer)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, for as long as they run."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIRITSAFE_CACHE", str(folder))
        yield folder
