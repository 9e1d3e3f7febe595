from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.distill.weights import has_weights, load_tokenizer, weights_folder
from spiritsafe.errors import UsageError


def test_a_folder_is_where_it_says(model_folder: Path) -> None:
    assert weights_folder(f"hf:{model_folder}") == model_folder
    assert load_tokenizer(model_folder).eos_token == "<|im_end|>"


def test_behind_an_api_there_are_no_weights() -> None:
    assert not has_weights("openai:http://127.0.0.1/v1#m")
    with pytest.raises(UsageError, match="not on this machine"):
        weights_folder("openai:http://127.0.0.1/v1#m")


@pytest.mark.model
def test_the_embedded_teacher_has_weights_after_its_conversion() -> None:
    assert has_weights("smollm2")
    assert (weights_folder("smollm2") / "model.safetensors").is_file()
