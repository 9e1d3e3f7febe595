from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.prove.instruments import INSTRUMENTS, open_instrument
from spiritsafe.prove.instruments.types import Options


def test_an_unknown_test_is_told_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twins, canaries, radioactivity, tracing"):
        open_instrument("tea leaves", tmp_path / "x", Options())


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_line_of_the_registry_opens_something(name: str) -> None:
    module, _, function = INSTRUMENTS[name].partition(":")
    assert callable(getattr(import_module(module), function))
