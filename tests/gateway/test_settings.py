from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.errors import ConfigError
from spiritsafe.gateway.settings import Settings, UpstreamSettings, seconds, size
from spiritsafe.settings import load_text

FULL = """
data: /srv/safe
database: postgresql://safe@db/safe
host: 0.0.0.0
port: 8080
public_url: https://api.example.org
upstreams:
- {name: small, url: http://10.0.0.5:8000/v1, models: ["small-*"], speaks: [chat, embeddings]}
- {name: rest, url: https://api.example.com, key_env: REST_KEY, auth: x-api-key, ask_usage: false}
timeouts: {connect: 500ms, first_byte: 2m, idle: 30s, total: 1h}
limits: {body: 8MiB, in_flight: 100, in_flight_per_key: 4}
throttle: {requests_per_minute: 2, in_flight: 1}
trust: {proxies: [10.0.0.0/8, "::1/128"], network_header: x-asn}
record: {content: sketch, roll_rows: 1000, roll: 10m}
watch: {every: 2s, policy: policy.yaml, reference: honest}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, Settings, where="safe.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_file_is_read() -> None:
    found = load_text(FULL, Settings, where="safe.yaml")
    assert (found.upstreams[0].speaks, found.upstreams[1].speaks) == (("chat", "embeddings"), "auto")
    assert (found.record.content, found.limits.in_flight_per_key) == ("sketch", 4)
    assert (found.database_url, found.reference) == ("postgresql://safe@db/safe", Path("honest"))
    assert found.policy == Path("policy.yaml")


def test_defaults_need_nothing_but_an_upstream() -> None:
    found = load_text("data: d", Settings, where="safe.yaml")
    assert found == Settings(data="d")
    assert found.database_url == f"sqlite:///{Path('d').absolute()}/spiritsafe.db"
    assert (found.reference, found.policy) == (Path("d/reference"), None)
    assert load_text("watch: {reference: starter}", Settings, where="safe.yaml").reference.is_file()


def test_every_problem_is_named_at_once_with_its_line_and_the_valid_names() -> None:
    found = problems("prot: 1\nrecord:\n  content: some\n  rollrows: 3\nlimits: {in_flight: 0}\nport: 70000\n")
    assert len(found) == 5
    assert found[0].startswith("safe.yaml:1: unknown key 'prot'. Did you mean 'port'?")
    assert any("safe.yaml:3" in each and "full, sketch, none" in each for each in found)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("upstreams:\n- url: not-an-address\n", "safe.yaml:2"),
        ("timeouts:\n  connect: soon\n", "safe.yaml:2"),
        ("limits:\n  body: big\n", "safe.yaml:2"),
        ("trust:\n  proxies: [here]\n", "safe.yaml:2"),
        ("drain: never\n", "safe.yaml:1"),
        ("watch: {every: often}\n", "safe.yaml:1"),
        ("record: {roll: daily}\n", "safe.yaml:1"),
    ],
)
def test_a_value_that_its_type_can_not_hold_is_refused_at_its_place(text: str, place: str) -> None:
    (found,) = problems(text)
    assert found.startswith(place)


@pytest.mark.parametrize(("text", "value"), [("250ms", 0.25), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("1d", 86400)])
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("7", 7), ("7B", 7), ("2KiB", 2048), ("32MiB", 32 << 20), ("1GiB", 1 << 30)]
)
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 years"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_an_upstream_without_a_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        UpstreamSettings(url="127.0.0.1:8000")
