"""Logs are opened plain or gzipped, and each trouble has its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, Problem
from spiritsafe.record.importers.lines import json_documents, open_log, text_lines


def test_lines_have_their_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\r\n\n  \ntwo\n\xff\nlast")
    assert list(text_lines(path))[:2] == [(f"{path}:1", "one"), (f"{path}:4", "two")]
    problem, last = list(text_lines(path))[2:]
    assert isinstance(problem, Problem)
    assert problem.where == f"{path}:5"
    assert last == (f"{path}:6", "last")


def test_a_cut_archive_gives_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    data = gzip.compress(b"".join(b"line %d %d\n" % (n, n * 7919 % 104729) for n in range(20_000)))
    path.write_bytes(data[: len(data) // 2])
    *lines, problem = text_lines(path)
    assert len(lines) > 1000
    assert isinstance(problem, Problem)
    assert "ends here" in problem.message
    assert problem.where == f"{path}:{len(lines) + 1}"


def test_documents_are_lines_or_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"a":1}\n{"b":\n[1]\n')
    found = list(json_documents(path))
    assert found[0] == (f"{path}:1", {"a": 1})
    assert [item.where for item in found[1:] if isinstance(item, Problem)] == [f"{path}:2", f"{path}:3"]
    path.write_text('{\n  "a": 1\n}\n')
    assert list(json_documents(path)) == [(f"{path}:1", {"a": 1})]
    path.write_text("{\n  broken\n")
    assert len(list(json_documents(path))) == 2
    path.write_text("")
    assert list(json_documents(path)) == []


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read: no such file"):
        open_log(tmp_path / "none")
    with pytest.raises(InputError, match="is a directory"):
        open_log(tmp_path)
