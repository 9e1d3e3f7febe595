from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.detect.starter import STARTER, located


def test_the_name_stands_for_the_file_that_ships_unless_there_is_one_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert located(Path("starter")) == STARTER
    assert STARTER.is_file()
    assert located(Path("other")) == Path("other")
    assert located(tmp_path / "starter") == tmp_path / "starter"
    Path("starter").touch()
    assert located(Path("starter")) == Path("starter")
