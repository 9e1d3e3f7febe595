"""What a person may set about a gateway: one YAML of typed sections, every name checked."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from spiritsafe.detect.starter import located
from spiritsafe.protect.release import Releases
from spiritsafe.record.exchange import Content

Api = Literal["chat", "completions", "responses", "messages", "embeddings"]
"""The APIs an upstream may speak, by the last part of their path."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

Positive = Annotated[int, msgspec.Meta(ge=1)]


def seconds(text: str) -> float:
    """``"250ms"``, ``"30s"``, ``"5m"``, ``"1h"``, ``"2d"`` in seconds. Raises ``ValueError`` for another form."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration; write it like 250ms, 30s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def size(text: str) -> int:
    """``"32MiB"`` in bytes. Raises ``ValueError`` for another form."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no size; write it like 512KiB or 32MiB")
    return int(found[1]) * _BYTES[found[2]]


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model server. The first in the list whose ``models`` (shell patterns) fit a request's model answers it.

    ``key_env`` names the environment variable that holds its API key. ``speaks`` lists the APIs it offers;
    ``auto`` asks it once for each of them with an empty request, which no server answers with a model's work.
    What it does not speak of ``messages`` and ``responses`` is translated to ``chat``. ``auth`` is how the key
    is sent: ``auto`` is ``x-api-key`` for ``messages`` and a bearer token elsewhere. ``ask_usage`` asks for
    token counts at the end of streams whose client did not, and keeps them from that client. ``tell_tenant`` tells
    the server the account's id in a header, for marks by tenant: only for a server of one's own.
    """

    url: str
    name: str = "upstream"
    key_env: str | None = None
    models: tuple[str, ...] = ("*",)
    speaks: Literal["auto"] | tuple[Api, ...] = "auto"
    auth: Literal["auto", "bearer", "x-api-key"] = "auto"
    ask_usage: bool = True
    tell_tenant: bool = False

    def __post_init__(self) -> None:
        if not re.match(r"https?://[^/\s]+", self.url):
            raise ValueError(f"{self.url!r} is no address of a server; write it like http://127.0.0.1:8000/v1")


class TimeoutSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long each stage of an answer may take; kept to about a fifth of a second."""

    connect: str = "5s"
    first_byte: str = "5m"
    idle: str = "60s"
    total: str = "30m"

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds(getattr(self, name))


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds that hold for every key, beside the limits which each key carries itself."""

    body: str = "32MiB"
    in_flight: Positive = 2000
    in_flight_per_key: Positive = 64

    def __post_init__(self) -> None:
        size(self.body)


class ThrottleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What remains to an account under a decision to throttle."""

    requests_per_minute: Positive = 6
    in_flight: Positive = 1


class TrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which headers are believed. Those about the network only when the peer is one of ``proxies`` (CIDR);
    the session header is the client's own word about itself and is believed from anyone.
    """

    proxies: tuple[str, ...] = ()
    address_header: str = "x-forwarded-for"
    network_header: str = "x-client-asn"
    fingerprint_header: str = "x-ja4"
    session_header: str = "x-session-id"

    def __post_init__(self) -> None:
        for proxy in self.proxies:
            ipaddress.ip_network(proxy)


class RecordSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much text the record keeps, and when it rolls a journal into a sealed segment."""

    content: Content = "full"
    roll_rows: Positive = 50_000
    roll: str = "1h"

    def __post_init__(self) -> None:
        seconds(self.roll)


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The watcher: whether it runs, how often it judges what came in, by which policy file (the default one that
    ships), and compared with which reference of honest traffic (``DATA/reference`` if there is one; ``starter`` is the
    one that ships). Without a reference it observes and accuses nobody.
    """

    enabled: bool = True
    every: str = "5s"
    policy: str | None = None
    reference: str | None = None

    def __post_init__(self) -> None:
        seconds(self.every)


class TwinSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The share of requests that are answered twice (``protect.twins``); 0 is none."""

    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a gateway's settings. ``public_url`` is how clients reach it, for links to the appeal route;
    without it the request's own ``Host`` is used. ``drain`` is how long a shutdown waits for running answers.
    ``mark`` names the mark on what ``teacher`` answers; its key was committed before (``spiritsafe mark commit``).
    """

    data: str = "spiritsafe-data"
    database: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8700
    public_url: str | None = None
    upstreams: tuple[UpstreamSettings, ...] = ()
    teacher: str | None = None
    mark: str | None = None
    drain: str = "20s"
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: LimitSettings = LimitSettings()
    throttle: ThrottleSettings = ThrottleSettings()
    trust: TrustSettings = TrustSettings()
    record: RecordSettings = RecordSettings()
    watch: WatchSettings = WatchSettings()
    twins: TwinSettings = TwinSettings()
    release: Releases = Releases()

    def __post_init__(self) -> None:
        seconds(self.drain)

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def reference(self) -> Path:
        """Where the reference of honest traffic is, if there is one."""
        return located(Path(self.watch.reference)) if self.watch.reference is not None else self.folder / "reference"

    @property
    def policy(self) -> Path | None:
        """The policy file, ``None`` for the one that ships."""
        return Path(self.watch.policy) if self.watch.policy is not None else None

    @property
    def database_url(self) -> str:
        """The store's address: SQLite in the data folder unless another is set."""
        return self.database or f"sqlite:///{self.folder.absolute() / 'spiritsafe.db'}"
