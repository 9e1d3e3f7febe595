from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch

from spiritsafe.distill.losses.types import Dense, Head, Sampled, Tokens, TopK, Value


def test_a_head_is_plain_unless_said_otherwise():
    head = Head(torch.zeros(2, 3))
    assert (head.bias, head.scale, head.softcap) == (None, 1.0, None)


@pytest.mark.parametrize(
    "value",
    [
        Head(torch.zeros(2, 3)),
        Tokens(torch.zeros(2)),
        Dense(lambda a, b: torch.zeros(b - a, 2), 2),
        TopK(torch.zeros(2, 1), torch.zeros(2, 1)),
        Sampled(torch.zeros(2, 1), torch.zeros(2, 1)),
    ],
)
def test_what_goes_in_is_frozen(value):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, None)


def test_what_comes_out_unpacks_as_loss_and_rows():
    loss, rows = Value(torch.tensor(1.0), torch.ones(3))
    assert (loss.item(), len(rows)) == (1.0, 3)


def test_the_types_load_without_torch():
    code = "import sys, spiritsafe.distill.losses.types; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
