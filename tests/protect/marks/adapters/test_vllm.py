from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spiritsafe.errors import UsageError
from spiritsafe.protect.keys import Keyring, key_of
from spiritsafe.protect.marks.adapters.vllm import TENANT, Settings, per_request, validate
from spiritsafe.protect.marks.embed import logit_mark, reweighed
from spiritsafe.protect.marks.registry import mark

KEY = key_of(bytes(32), "any", 1)
NAME = "gumbel-k2"


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    keyring = Keyring(tmp_path)
    keyring.commit(NAME)
    monkeypatch.setenv("SPIRITSAFE_DATA", str(tmp_path))
    monkeypatch.setenv("SPIRITSAFE_MARK", NAME)
    return keyring


def test_a_request_s_own_processor_takes_prompt_output_and_a_row() -> None:
    row = torch.randn(100)
    process = per_request(mark("kgw-k1-g0.25-d2"), KEY)
    expected = reweighed(logit_mark(mark("kgw-k1-g0.25-d2")), KEY, row.numpy(), [9])
    np.testing.assert_array_equal(process([1, 2, 3], [9], row).numpy(), expected)
    assert process([1, 2, 3], [], row) is row


def test_half_precision_stays_half_precision() -> None:
    row = torch.randn(100).to(torch.bfloat16)
    assert per_request(mark("kgw-k1-g0.25-d2"), KEY)([], [9], row).dtype is torch.bfloat16


def test_the_key_comes_from_the_environment_and_the_tenant_from_the_request(keyring: Keyring, params: Any) -> None:
    settings = Settings.of_environment()
    assert settings.request(params()).key == keyring.key()
    request = settings.request(params(extra_args={TENANT: "acme"}, temperature=0.5))
    assert request.key == keyring.key(tenant="acme")
    assert request.temperature == 0.5


def test_without_a_key_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPIRITSAFE_DATA", raising=False)
    with pytest.raises(UsageError, match="knows no key"):
        Settings.of_environment()


@pytest.mark.parametrize("cut", [{"top_p": 0.9}, {"top_k": 40}, {"min_p": 0.1}])
def test_cuts_that_would_bend_the_mark_are_refused(cut: dict[str, float], keyring: Keyring, params: Any) -> None:
    validate(params())
    with pytest.raises(ValueError, match="whole distribution"):
        validate(params(**cut))


def test_a_green_list_takes_any_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Any) -> None:
    Keyring(tmp_path).commit("kgw-k1-g0.25-d2")
    monkeypatch.setenv("SPIRITSAFE_DATA", str(tmp_path))
    monkeypatch.setenv("SPIRITSAFE_MARK", "kgw-k1-g0.25-d2")
    validate(params(top_p=0.5))
    with pytest.raises(ValueError, match="string"):
        validate(params(extra_args={TENANT: 3}))


def test_tokens_not_yet_known_are_not_taken_for_a_context() -> None:
    row = torch.randn(100)
    assert per_request(mark("kgw-k1-g0.25-d2"), KEY)([], [5, -1], row) is row
