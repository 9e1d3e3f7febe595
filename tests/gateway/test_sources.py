from __future__ import annotations

import pytest

from spiritsafe.gateway.settings import TrustSettings
from spiritsafe.gateway.sources import Source, Sources
from spiritsafe.record.identity import Pseudonymizer

NAMES = Pseudonymizer(b"k" * 32)
TRUSTING = TrustSettings(proxies=("10.0.0.0/8",))
ABOUT = {
    b"user-agent": b"openai/1",
    b"x-forwarded-for": b"203.0.113.9, 10.0.0.7",
    b"x-client-asn": b"AS64500",
    b"x-ja4": b"t13d",
    b"x-session-id": b"s1",
}


def of(trust: TrustSettings, peer: str | None, headers: dict[bytes, bytes]) -> Source:
    return Sources(trust, NAMES).of({"client": (peer, 1) if peer else None}, headers)


def test_from_a_trusted_proxy_the_headers_about_the_network_count() -> None:
    found = of(TRUSTING, "10.0.0.1", ABOUT)
    assert found.ip_prefix == NAMES.of_address("203.0.113.200")
    assert found.network == NAMES.of("network", "AS64500")
    assert found.client == NAMES.of("client", "openai/1 t13d")
    assert found.session == NAMES.of("session", "s1")


@pytest.mark.parametrize(("trust", "peer"), [(TrustSettings(), "10.0.0.1"), (TRUSTING, "198.51.100.1")])
def test_from_anyone_else_they_are_ignored(trust: TrustSettings, peer: str) -> None:
    found = of(trust, peer, ABOUT)
    assert found.ip_prefix == NAMES.of_address(peer)
    assert (found.network, found.client) == (None, NAMES.of("client", "openai/1"))


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"spoofed, 203.0.113.9 , 10.9.9.9", "203.0.113.9"),
        (b"10.0.0.2, 10.0.0.3", "10.0.0.1"),
        (b"", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy_of_ours(listed: bytes, address: str) -> None:
    assert Sources(TRUSTING, NAMES).address("10.0.0.1", {b"x-forwarded-for": listed}) == address


def test_what_is_not_known_is_none() -> None:
    assert of(TRUSTING, None, {}) == Source(None, None, None, None)
    assert of(TRUSTING, "testclient", {}).ip_prefix is None


def test_nothing_raw_remains() -> None:
    assert not any(word in str(of(TRUSTING, "10.0.0.1", ABOUT)) for word in ("203.0", "AS64", "openai", "s1'"))
