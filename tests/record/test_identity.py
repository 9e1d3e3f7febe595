"""Pseudonyms meet when equal, and say nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.record.identity import Pseudonymizer, ip_prefix, open_identity

KEY = bytes(range(32))


@given(st.text(), st.text())
def test_equal_values_meet_and_others_do_not(left: str, right: str) -> None:
    people = Pseudonymizer(KEY)
    assert (people.of("account", left) == people.of("account", right)) == (left == right)
    assert people.of("account", left) != people.of("payment", left)


def test_another_key_gives_other_pseudonyms() -> None:
    assert Pseudonymizer(KEY).of("client", "curl") != Pseudonymizer(KEY[::-1]).of("client", "curl")


def test_pseudonyms_never_change() -> None:
    assert Pseudonymizer(KEY).of("client", "curl/8.5") == "2570b8be3930931eda8bb2a2d00002d3"


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        (" 203.0.113.1 ", "203.0.113.0/24"),
        ("::ffff:203.0.113.9", "203.0.113.0/24"),
        ("2001:db8:12:34::1", "2001:db8:12::/48"),
        ("[2001:db8:12::9]", "2001:db8:12::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("not an address", None),
        ("", None),
        ("203.0.113.1:443", None),
    ],
)
def test_addresses_are_cut_to_their_network(address: str, prefix: str | None) -> None:
    assert ip_prefix(address) == prefix


def test_neighbours_share_a_network() -> None:
    people = Pseudonymizer(KEY)
    assert people.of_address("203.0.113.1") == people.of_address("203.0.113.200") != people.of_address("203.0.114.1")
    assert people.of_address("nonsense") is None


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = open_identity(tmp_path).of("account", "a")
    path = tmp_path / "keys" / "identity.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_identity(tmp_path).of("account", "a") == first


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(65)])
def test_keys_of_odd_length_are_refused(key: bytes) -> None:
    with pytest.raises(InputError, match="16 to 64 bytes"):
        Pseudonymizer(key)


@pytest.mark.parametrize("kind", ["", "a kind that is too long"])
def test_kinds_of_odd_length_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="1 to 16 bytes"):
        Pseudonymizer(KEY).of(kind, "x")
