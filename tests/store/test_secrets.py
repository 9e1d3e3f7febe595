"""Identifiers and the secrets of keys."""

from __future__ import annotations

import hashlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.store.secrets import hash_secret, is_secret, new_id, new_secret


def test_a_secret_has_its_shape_and_160_random_bits() -> None:
    prefix, secret = new_secret()
    assert is_secret(secret)
    head, start, rest = secret.split("_")
    assert f"{head}_{start}" == prefix
    assert len(rest) * math.log2(32) == 160


def test_secrets_and_ids_are_not_drawn_twice_and_use_the_whole_alphabet() -> None:
    drawn = [new_secret()[1] for _ in range(500)]
    assert len(set(drawn)) == 500
    assert len(set("".join(secret.split("_")[2] for secret in drawn))) == 32
    assert len({new_id("dec") for _ in range(500)}) == 500
    assert new_id("dec").startswith("dec_")


def test_the_hash_is_sha256_of_the_whole() -> None:
    assert hash_secret("ssk_a_b") == hashlib.sha256(b"ssk_a_b").digest()


@pytest.mark.parametrize(
    "text",
    ["", "sk-abc", "ssk_abcdefgh_", "ssk_ABCDEFGH_" + "a" * 32, "ssk_abcdefgh_" + "a" * 31, "ssk_abcdefgh_" + "1" * 32],
)
def test_what_is_no_key_is_seen_as_such(text: str) -> None:
    assert not is_secret(text)
    assert not is_secret(new_secret()[1] + "\n")


@given(st.text())
def test_any_text_can_be_hashed(text: str) -> None:
    assert len(hash_secret(text)) == 32
