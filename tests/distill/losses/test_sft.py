from __future__ import annotations

import pytest
import torch

from spiritsafe.distill.losses.sft import sft
from spiritsafe.distill.losses.types import Head, Tokens
from spiritsafe.errors import InputError


def teach(n, v, temperature, g, dtype):
    return Tokens(torch.randint(0, v, (n,), generator=g))


def plain(logits, teacher):
    return torch.nn.functional.cross_entropy(logits, teacher.ids, reduction="none")


def test_sft(conforms):
    conforms(sft, plain, teach)


def test_a_token_of_another_tokenizer_is_refused():
    hidden, head = torch.randn(2, 3), Head(torch.randn(5, 3))
    with pytest.raises(InputError, match="another tokenizer"):
        sft(hidden, head, Tokens(torch.tensor([1, 5])))


def test_an_ignored_label_is_refused_for_the_head_belongs_on_answers_alone():
    hidden, head = torch.randn(2, 3), Head(torch.randn(5, 3))
    with pytest.raises(InputError, match="masked positions"):
        sft(hidden, head, Tokens(torch.tensor([1, -100])))


def test_another_number_of_positions_is_refused():
    with pytest.raises(InputError, match="for 2 positions"):
        sft(torch.randn(2, 3), Head(torch.randn(5, 3)), Tokens(torch.tensor([1, 2, 3])))
