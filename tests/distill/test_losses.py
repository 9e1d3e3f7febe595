from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from spiritsafe.distill.losses import LOSSES, load
from spiritsafe.errors import UsageError


def test_every_file_of_the_room_is_registered_and_every_name_loads():
    stems = {f.name.removesuffix(".py") for f in files("spiritsafe.distill.losses").iterdir() if f.name.endswith(".py")}
    assert stems - {"__init__", "types", "chunked"} == set(LOSSES)
    for name in LOSSES:
        assert callable(load(name))


def test_an_unknown_name_lists_the_valid_ones():
    with pytest.raises(UsageError, match="sampled_kl"):
        load("kl")


def test_the_names_are_known_without_torch():
    code = "import sys; from spiritsafe.distill.losses import LOSSES; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
