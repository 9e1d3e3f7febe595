from __future__ import annotations

import json
import shutil
from contextlib import closing

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.teach.huggingface import FAMILIES, open_folder, quiet
from spiritsafe.teach.types import Options, Raw, Sampling

SMALL = Options(threads=1, batch=4, device="cpu", dtype="float32")
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 0,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_draws_what_transformers_draws(family, tmp_path, tokenizer) -> None:
    torch.manual_seed(1)
    extra = {"sliding_window": None} if family == "mistral" else {}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **SHAPE, **extra)
    plain = AutoModelForCausalLM.from_config(config).float().eval()
    folder = tmp_path / family
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    prompt = tokenizer.encode("the still makes the spirit and the safe")
    ids = torch.tensor([prompt])
    mask = torch.ones_like(ids)
    expected = plain.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=20, eos_token_id=0)[
        0, len(prompt) :
    ]
    with closing(open_folder(str(folder), SMALL)) as teacher:
        prompts = [Raw("the still makes the spirit and the safe"), Raw("a"), Raw("Every drop")]
        (answer,), *_ = teacher.generate(prompts, Sampling(temperature=0, max_tokens=20))
        assert [token.id for token in answer.tokens] == [token for token in expected.tolist() if token != 0]
        with torch.no_grad():
            torch.testing.assert_close(teacher.logits(prompt), plain(ids).logits[0], atol=2e-4, rtol=1e-4)


@pytest.fixture
def copied(folder, tmp_path):
    target = tmp_path / "copied"
    shutil.copytree(folder, target)
    return target


def configured(folder, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_its_name_is_the_folders_and_its_terms_those_of_where_it_came_from(copied) -> None:
    with closing(open_folder(str(copied), SMALL)) as teacher:
        assert (teacher.name, teacher.terms_id, teacher.context_length) == ("copied", "copied", 512)
    configured(copied, _name_or_path="Somebody/Something-1B")
    with closing(open_folder(str(copied) + "/", SMALL)) as teacher:
        assert (teacher.name, teacher.terms_id) == ("copied", "Somebody/Something-1B")


def test_every_declared_end_token_ends_an_answer(copied) -> None:
    path = copied / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [0, 9]}))

    class Nine:
        stage = "logits"

        def __call__(self, logits, context):
            logits[9] += 1000
            return logits

    with closing(open_folder(str(copied), SMALL)) as teacher:
        (answer,) = teacher.generate(["a"], Sampling(max_tokens=5, seed=1), marks=[Nine()])[0]
    assert (answer.finish, answer.completion_tokens, answer.tokens) == ("stop", 1, ())


def test_a_folder_that_is_no_model_says_what_is_missing(tmp_path, copied) -> None:
    with pytest.raises(InputError, match="no such folder"):
        open_folder(str(tmp_path / "nowhere"), SMALL)
    with pytest.raises(InputError, match=r"no config.json, no tokenizer.json, no \*.safetensors"):
        open_folder(str(tmp_path), SMALL)
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no \*.safetensors"):
        open_folder(str(copied), SMALL)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_no_object_is_refused(copied, text) -> None:
    (copied / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"not JSON|not an object"):
        open_folder(str(copied), SMALL)


def test_damaged_weights_are_refused(copied) -> None:
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="can't be loaded"):
        open_folder(str(copied), SMALL)


def test_families_that_are_not_run_are_named_with_those_that_are(copied) -> None:
    configured(copied, model_type="mamba")
    with pytest.raises(InputError, match=r"'mamba'.*llama.*openai:URL#model"):
        open_folder(str(copied), SMALL)
    configured(copied, model_type="mistral", sliding_window=128)
    with pytest.raises(InputError, match="slides over 128 tokens"):
        open_folder(str(copied), SMALL)


def test_code_in_a_folder_is_not_run(copied) -> None:
    (copied / "evil.py").write_text("raise SystemExit('run')")
    configured(copied, auto_map={"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"})
    with closing(open_folder(str(copied), SMALL)) as teacher:
        assert teacher.generate(["a"], Sampling(max_tokens=1))


def test_a_device_that_is_not_there_is_refused(copied) -> None:
    for device in ("warp", "mps:7"):
        with pytest.raises(ResourceError, match="no device"):
            open_folder(str(copied), Options(threads=1, device=device))


@pytest.mark.parametrize(
    ("asked", "able", "expected"),
    [
        ("auto", {"amx_bf16": True}, torch.bfloat16),
        ("auto", {"avx512_bf16": True}, torch.bfloat16),
        ("auto", {"avx512_f": True}, torch.float32),
        ("float32", {"amx_bf16": True}, torch.float32),
        ("bfloat16", {}, torch.bfloat16),
    ],
)
def test_bfloat16_is_taken_where_the_processor_computes_in_it(copied, monkeypatch, asked, able, expected) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    with closing(open_folder(str(copied), Options(threads=1, device="cpu", dtype=asked))) as teacher:
        assert teacher.dtype == expected
        assert teacher.generate(["a"], Sampling(max_tokens=2))


def test_quiet_restores_what_was_set_whatever_happens() -> None:
    def state():
        return transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()

    @quiet()
    def fail() -> None:
        assert state() == (False, transformers_logging.ERROR)
        raise ZeroDivisionError

    before = state()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert state() == before
