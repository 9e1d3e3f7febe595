from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from spiritsafe.distill.export import export
from spiritsafe.errors import InputError


def test_what_is_handed_over_is_byte_for_byte_what_was_trained(tmp_path: Path, model_folder: Path) -> None:
    done = export(model_folder, tmp_path / "out")
    assert sorted(done.files) == sorted(path.name for path in (tmp_path / "out").iterdir())
    for name in done.files:
        assert (tmp_path / "out" / name).read_bytes() == (model_folder / name).read_bytes()
    assert done.weights == ("model.safetensors",)
    assert done.dtypes == ("float32",)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", local_files_only=True)
    assert done.parameters == sum(p.numel() for p in model.parameters())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert "im_start" in tokenizer.chat_template


def test_what_is_no_part_of_a_model_stays_behind(tmp_path: Path, model_folder: Path) -> None:
    for name in ("modeling_own.py", "optimizer.pt", "adapter_model.safetensors", "spiritsafe.json"):
        (model_folder / name).write_bytes(b"x")
    (model_folder / "model").mkdir()
    done = export(model_folder, tmp_path / "out")
    assert not {"modeling_own.py", "optimizer.pt", "adapter_model.safetensors", "spiritsafe.json"} & set(done.files)


def test_licence_texts_come_along(tmp_path: Path, model_folder: Path) -> None:
    (tmp_path / "notices").mkdir()
    for name in ("LICENSE", "LICENCE.txt", "NOTICE", "other.txt"):
        (tmp_path / "notices" / name).write_text(name)
    done = export(model_folder, tmp_path / "out", notices=tmp_path / "notices")
    assert {"LICENSE", "LICENCE.txt", "NOTICE"} <= set(done.files)
    assert not (tmp_path / "out" / "other.txt").exists()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_is_not_whole_is_refused(name: str, tmp_path: Path, model_folder: Path) -> None:
    (model_folder / name).unlink()
    with pytest.raises(InputError, match=f"it has no {name}"):
        export(model_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, model_folder: Path) -> None:
    path = model_folder / "model.safetensors"
    state = load_file(path)
    state["model.norm.weight"][3] = torch.nan
    save_file(state, path)
    with pytest.raises(InputError, match=r"model.norm.weight holds what is no number"):
        export(model_folder, tmp_path / "out")


def test_adapters_that_were_not_merged_are_refused(tmp_path: Path, model_folder: Path) -> None:
    path = model_folder / "model.safetensors"
    save_file(load_file(path) | {"model.layers.0.self_attn.q_proj.lora_A.default.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="is not merged"):
        export(model_folder, tmp_path / "out")


def test_a_damaged_file_is_refused(tmp_path: Path, model_folder: Path) -> None:
    path = model_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="can't be read"):
        export(model_folder, tmp_path / "out")
