from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.lines import read_lines


class Cask(msgspec.Struct, frozen=True):
    name: str
    litres: int = 0


def casks(path: Path) -> list[tuple[str, Cask]]:
    return list(read_lines(path, Cask, what="cask", remedy="A line holds a name."))


@given(st.lists(st.builds(Cask, st.text(max_size=30), st.integers(-(2**53), 2**53)), max_size=9), st.booleans())
def test_what_was_written_is_read_and_blank_lines_are_none(
    tmp_path_factory: pytest.TempPathFactory, written: list[Cask], spaced: bool
) -> None:
    path = tmp_path_factory.mktemp("lines") / "casks.jsonl"
    path.write_bytes((b"\n \r\n" if spaced else b"\n").join(map(msgspec.json.encode, written)))
    assert [cask for _, cask in casks(path)] == written


def test_the_line_that_is_none_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "casks.jsonl"
    path.write_bytes(b'{"name": "one"}\r\n\n{"litres": 3}\n')
    with pytest.raises(InputError, match="it is no cask: Object missing required field `name`") as caught:
        casks(path)
    assert caught.value.where == f"{path}:3"
    assert caught.value.remedy == "A line holds a name."


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        casks(tmp_path / "none.jsonl")
