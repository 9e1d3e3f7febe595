"""Where a request came from, as pseudonyms: its network, its operator, its client program, its session."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

from spiritsafe.gateway.enforce.gate import RawHeaders
from spiritsafe.gateway.settings import TrustSettings
from spiritsafe.gateway.types import Scope
from spiritsafe.record.identity import Pseudonymizer


class Source(NamedTuple):
    """The pseudonyms of one request; ``None`` for what is not known."""

    ip_prefix: str | None
    network: str | None
    client: str | None
    session: str | None


class Sources:
    """Reads sources as the settings trust them. Headers about the network count only from a trusted proxy."""

    def __init__(self, trust: TrustSettings, pseudonyms: Pseudonymizer) -> None:
        self._proxies = tuple(ipaddress.ip_network(proxy) for proxy in trust.proxies)
        self._address = trust.address_header.lower().encode()
        self._network = trust.network_header.lower().encode()
        self._fingerprint = trust.fingerprint_header.lower().encode()
        self._session = trust.session_header.lower().encode()
        self._pseudonyms = pseudonyms
        self._is_proxy = lru_cache(4096)(self._trusted)

    def of(self, scope: Scope, headers: RawHeaders) -> Source:
        """The source of a request."""
        peer = scope.get("client")
        address = peer[0] if peer else None
        network = None
        program = headers.get(b"user-agent", b"").decode("latin-1")
        if self._proxies and address is not None and self._is_proxy(address):
            address = self.address(address, headers)
            network = headers.get(self._network)
            if (fingerprint := headers.get(self._fingerprint)) is not None:
                program = f"{program} {fingerprint.decode('latin-1')}"
        session = headers.get(self._session)
        of = self._pseudonyms.of
        return Source(
            self._pseudonyms.of_address(address) if address is not None else None,
            of("network", network.decode("latin-1")) if network else None,
            of("client", program) if program else None,
            of("session", session.decode("latin-1")) if session else None,
        )

    def address(self, peer: str, headers: RawHeaders) -> str:
        """The client's address: the last in the forwarded list that is no proxy of ours."""
        listed = headers.get(self._address, b"").decode("latin-1")
        for address in reversed([part.strip() for part in listed.split(",") if part.strip()]):
            if not self._is_proxy(address):
                return address
        return peer

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)
