from __future__ import annotations

from contextlib import closing

import pytest

from spiritsafe.errors import InputError
from spiritsafe.teach.gguf import open_file
from spiritsafe.teach.types import Options, Sampling

SMALL = Options(threads=1, device="cpu", dtype="float32")


def test_a_file_is_opened_with_its_tokenizer_and_template(cache, gguf_file, tokenizer) -> None:
    with closing(open_file(str(gguf_file), SMALL)) as teacher:
        assert (teacher.name, teacher.terms_id, teacher.context_length) == ("small", "small", 512)
        assert teacher.tokenizer.encode("the still, 🥃") == tokenizer.encode("the still, 🥃")
        (answer,) = teacher.generate(["the still"], Sampling(temperature=0, max_tokens=4))[0]
        chat = tokenizer.apply_chat_template([{"role": "user", "content": "the still"}], add_generation_prompt=True)
        assert answer.prompt_tokens == len(chat["input_ids"])


def test_what_is_no_gguf_file_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_file(str(tmp_path / "missing.gguf"), SMALL)
    (tmp_path / "text.gguf").write_text("hello")
    with pytest.raises(InputError, match="not a GGUF file"):
        open_file(str(tmp_path / "text.gguf"), SMALL)
