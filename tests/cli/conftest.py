"""The command line, run as a person runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from spiritsafe.cli import main


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that is not there yet, named by the environment."""
    folder = tmp_path / "data"
    monkeypatch.setenv("SPIRITSAFE_DATA", str(folder))
    monkeypatch.delenv("SPIRITSAFE_DATABASE", raising=False)
    return folder


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run one command on ``data``; its exit code, and what it printed on either stream."""

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["spiritsafe", *arguments])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return Done(code if isinstance(code, int) else 0, out, err)

    return command
