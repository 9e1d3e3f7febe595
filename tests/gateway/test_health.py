from __future__ import annotations

import socket
from typing import Any

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.health import is_operator

TOKEN = "t" * 64


def test_a_gateway_that_can_serve_says_so(stand: Any) -> None:
    assert stand.call("GET", "/healthz")[:2] == (200, {"status": "alive"})
    status, found, _ = stand.call("GET", "/readyz")
    assert (status, found["ready"]) == (200, True)
    assert set(found["checks"]) == {"record", "store", "upstream upstream"}


def test_an_upstream_that_is_away_is_named_and_then_found_again(make_stand: Any, upstream: Any) -> None:
    stand = make_stand()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stand.gateway.upstreams[0].move(f"http://127.0.0.1:{unused.getsockname()[1]}")
    status, found, _ = stand.call("GET", "/readyz")
    assert (status, found["ready"]) == (503, False)
    assert "takes no connection" in found["checks"]["upstream upstream"]["why"]
    stand.gateway.upstreams[0].move(upstream.url)
    assert stand.call("GET", "/readyz")[0] == 200


def test_a_store_that_is_gone_is_told(make_stand: Any) -> None:
    stand = make_stand()
    (stand.settings.folder / "spiritsafe.db").rename(stand.settings.folder / "elsewhere.db")
    status, found, _ = stand.call("GET", "/readyz")
    assert (status, found["checks"]["store"]["ok"]) == (503, False)
    body = {"model": "m", "messages": [{"role": "user", "content": "How?"}]}
    status, answer, headers = stand.call("POST", "/v1/chat/completions", body)
    assert (status, answer["error"]["code"]) == (503, "store_unreachable")
    assert headers["retry-after"] == "5"
    (stand.settings.folder / "elsewhere.db").rename(stand.settings.folder / "spiritsafe.db")
    assert stand.call("POST", "/v1/chat/completions", body)[0] == 200


def test_trouble_of_the_record_of_usage_and_of_processes_is_told(make_stand: Any) -> None:
    stand = make_stand()
    health = stand.gateway.health
    assert health.writable
    health._recorder.trouble = ResourceError("the disk is full", remedy="Free some space.")
    health.processes["watcher"] = lambda: "not running"
    assert not health.writable
    status, found, _ = stand.call("GET", "/readyz")
    assert status == 503
    assert found["checks"]["record"] == {"ok": False, "why": "the disk is full. Free some space."}
    assert found["checks"]["watcher"] == {"ok": False, "why": "not running"}
    health._recorder.trouble = None
    health.keeping = ResourceError("locked", remedy="Wait.")
    assert stand.call("GET", "/readyz")[1]["checks"]["store"]["why"] == "locked. Wait."


def test_strangers_learn_whether_and_not_why(stand: Any) -> None:
    stand.gateway.health.processes["watcher"] = lambda: "secret path"
    try:
        _, found, _ = stand.call("GET", "/readyz", x_forwarded_for="203.0.113.9")
        assert found["checks"]["watcher"] == {"ok": False}
    finally:
        del stand.gateway.health.processes["watcher"]


@pytest.mark.parametrize(
    ("client", "headers", "operator"),
    [
        (("127.0.0.1", 1), [], True),
        (("::1", 1), [], True),
        (("127.0.0.1", 1), [(b"x-forwarded-for", b"1.2.3.4")], False),
        (("203.0.113.9", 1), [], False),
        (("203.0.113.9", 1), [(b"authorization", b"Bearer " + TOKEN.encode())], True),
        (("203.0.113.9", 1), [(b"authorization", b"Bearer wrong")], False),
        (("unix", 1), [], False),
        (None, [], False),
    ],
)
def test_who_runs_the_gateway(client: Any, headers: Any, operator: bool) -> None:
    assert is_operator({"client": client, "headers": headers}, TOKEN) is operator
