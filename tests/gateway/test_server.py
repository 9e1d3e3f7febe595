"""The whole program, as a process: how it begins, what it says when it can't, how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from spiritsafe.errors import ResourceError, SpiritsafeError
from spiritsafe.gateway import server
from spiritsafe.gateway.app import Gateway
from spiritsafe.gateway.settings import Settings, UpstreamSettings, WatchSettings
from spiritsafe.record.reader import read
from spiritsafe.record.verify import verify
from spiritsafe.store import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
ASKED: Any = [{"role": "user", "content": "How?"}]

Serve = Callable[..., Any]


def before(upstream: Any) -> dict[str, Any]:
    return {"upstreams": [{"url": upstream.url, "speaks": ["chat"]}]}


def new_key(data: Path) -> str:
    data.mkdir(exist_ok=True)
    with open_store(f"sqlite:///{data / 'spiritsafe.db'}") as store:
        return store.add_key(store.add_account("a").account_id)[1]


def client(served: Any, secret: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=secret, base_url=f"{served.url}/v1", max_retries=0)


def test_it_serves_drains_and_closes_its_record(serve: Serve, upstream: Any, tmp_path: Path) -> None:
    secret = new_key(tmp_path / "data")
    served = serve(**before(upstream))
    assert (served.said["first"], served.said["upstreams"]) == (False, [upstream.url])
    upstream.streams(upstream.chat_stream("a", "b", "c"), gap=0.3)
    words: list[str] = []

    def ask() -> None:
        with client(served, secret) as mine:
            stream = mine.chat.completions.create(model="m", messages=ASKED, stream=True)
            words.extend(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    asking = threading.Thread(target=ask)
    asking.start()
    while not upstream.calls:
        time.sleep(0.01)
    time.sleep(0.2)
    code = served.end(signal.SIGTERM)
    asking.join(120)
    assert "".join(words) == "abc"  # what was under way came to its end
    assert code == 0
    found = verify(served.data / "record")
    assert (found.verdict, found.rows, found.signed) == ("intact", 1, 1)


def test_what_takes_longer_than_the_drain_is_cut_off_and_recorded(serve: Serve, upstream: Any, tmp_path: Path) -> None:
    secret = new_key(tmp_path / "data")
    served = serve(**before(upstream), drain="1s")
    upstream.says(upstream.chat(), delay=30)

    def ask() -> None:
        with client(served, secret) as mine, contextlib.suppress(openai.APIError):
            mine.chat.completions.create(model="m", messages=ASKED)

    asking = threading.Thread(target=ask)
    asking.start()
    while not upstream.calls:
        time.sleep(0.01)
    served.end(signal.SIGTERM)
    asking.join(120)
    ((_, exchange),) = read(served.data / "record")
    assert (exchange.status, exchange.extra["fault"]) == (503, "shutting_down")


def test_the_port_being_taken_is_said(serve: Serve, upstream: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        served = serve(**before(upstream), port=taken.getsockname()[1])
        assert served.process.wait(120) == 1
    assert "the port is taken. Stop the program that has it, or choose another with --port" in served.errors()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"upstreams": ()}, "there is no model server to stand before"),
        ({"host": "203.0.113.7"}, "can't listen there"),
        ({"database": "postgresql://nobody@127.0.0.1:1/none"}, "the database can't be reached"),
        ({"database": "mysql://x/y"}, "no support for 'mysql' databases"),
        ({"upstreams": (UpstreamSettings(url="http://x", key_env="SPIRITSAFE_NONE"),)}, "SPIRITSAFE_NONE holds no key"),
        ({"watch": WatchSettings(policy="none.yaml")}, "none.yaml: can't be read"),
        ({"watch": WatchSettings(reference="none", policy=None)}, "there is no reference"),
        ({"data": "/dev/null/data"}, "the data folder can't be made"),
        ({"teacher": "nonsense:model"}, "the teacher did not begin"),
    ],
)
def test_what_keeps_it_from_beginning_is_said_with_a_remedy(
    upstream: Any, tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    given = {"data": str(tmp_path / "data"), "port": 0, "upstreams": (UpstreamSettings(url=upstream.url),)}
    with pytest.raises(SpiritsafeError) as caught:
        server.run(Settings(**{**given, **fields}), lambda _: pytest.fail("it began"))
    assert words in str(caught.value)
    assert caught.value.remedy


def test_a_second_gateway_on_the_same_folder_is_refused(serve: Serve, upstream: Any) -> None:
    first = serve(**before(upstream))
    second = serve(**before(upstream))
    assert second.process.wait(120) == 1
    assert "writes to this record. Stop it first, or use another data folder" in second.errors()
    assert first.process.poll() is None


def test_a_disk_that_is_full_is_told_and_nothing_is_answered(serve: Serve, upstream: Any, tmp_path: Path) -> None:
    """The kernel refuses the process any file over some size, as a full disk would."""
    secret = new_key(tmp_path / "data")
    served = serve(**before(upstream))
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system can't limit another process")
    journal = served.data / "record" / "journal-000000000000.log"
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (journal.stat().st_size, resource.RLIM_INFINITY))
    filling: Any = [{"role": "user", "content": os.urandom(600_000).hex()}]
    with client(served, secret) as mine:
        for _ in range(5):
            with contextlib.suppress(openai.InternalServerError):
                mine.chat.completions.create(model="m", messages=filling)
        with pytest.raises(openai.InternalServerError) as caught:
            mine.chat.completions.create(model="m", messages=filling)
        assert caught.value.code == "record_unwritable"
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    served.end()
    assert verify(served.data / "record").verdict == "intact"


def test_kill_9_at_random_moments_loses_no_exchange_whose_answer_had_ended() -> None:
    command = [sys.executable, "crash.py", "--times", "5"]
    done = subprocess.run(command, cwd=ROOT / "benchmarks", capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 missing from the record, 0 broken" in done.stdout


def test_an_address_of_the_newer_kind_is_listened_to() -> None:
    try:
        listening = server.listen("::1", 0)
    except ResourceError:
        pytest.skip("this machine has no IPv6")
    assert listening.family == socket.AF_INET6
    listening.close()


@pytest.mark.model
@pytest.mark.slow
def test_the_embedded_teacher_through_the_official_clients(serve: Serve, tmp_path: Path) -> None:
    """Chat, stream, tools, stored completions and both translated APIs, on a real model."""
    secret = new_key(tmp_path / "data")
    served = serve(teacher="smollm2")
    with client(served, secret) as mine:
        (model,) = [each.id for each in mine.models.list()]
        made = mine.chat.completions.create(model=model, messages=ASKED, max_tokens=8, store=True, seed=1)
        said = made.choices[0].message.content
        assert said
        assert mine.chat.completions.retrieve(made.id).choices[0].message.content == said
        options: Any = {"include_usage": True}
        stream = mine.chat.completions.create(
            model=model, messages=ASKED, max_tokens=8, stream=True, seed=1, stream_options=options
        )
        chunks = list(stream)
        assert chunks[-1].usage is not None
        streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        tool: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
        called = mine.chat.completions.create(
            model=model, messages=ASKED, max_tokens=40, tools=[tool], tool_choice="required"
        )
        calls = called.choices[0].message.tool_calls
        assert calls
        assert mine.responses.create(model=model, input="Hello", max_output_tokens=8).output_text
    with anthropic.Anthropic(api_key=secret, base_url=served.url, max_retries=0) as theirs:
        message = theirs.messages.create(model=model, max_tokens=8, messages=ASKED)
        assert message.usage.output_tokens > 0
    assert served.end() == 0
    rows = [exchange for _, exchange in read(served.data / "record")]
    assert [row.endpoint for row in rows] == ["/v1/chat/completions"] * 3 + ["/v1/responses", "/v1/messages"]
    assert [row.completion for row in rows[:2]] == [said, streamed]
    assert not any("tokens_estimated" in row.extra for row in rows)
    assert verify(served.data / "record").verdict == "intact"


async def test_a_teacher_that_begins_again_is_found_at_its_new_port(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), teacher="smollm2", port=0)
    with contextlib.ExitStack() as stack:
        parts = server.open_parts(settings, stack)
        gateway = Gateway(parts)
        teacher = server._teacher(parts, gateway, "smollm2")
        assert "spiritsafe.teach.server" in teacher._command
        teacher._ready({"port": 5001})
        await gateway.open()
        assert [upstream.url for upstream in gateway.upstreams] == ["http://127.0.0.1:5001"]
        teacher._ready({"port": 5002})
        assert [upstream.url for upstream in gateway.upstreams] == ["http://127.0.0.1:5002"]
        await gateway.close()


async def test_a_teacher_with_a_mark_is_served_by_the_room_that_marks(tmp_path: Path) -> None:
    settings = Settings(data=str(tmp_path), teacher="smollm2", mark="gumbel-k2", port=0)
    with contextlib.ExitStack() as stack:
        parts = server.open_parts(settings, stack)
        gateway = Gateway(parts)
        teacher = server._teacher(parts, gateway, "smollm2")
        teacher._ready({"port": 5001})
        command = " ".join(teacher._command)
        assert "spiritsafe.protect.serve smollm2" in command
        assert f"--mark gumbel-k2 --data {tmp_path}" in command
        await gateway.open()
        assert [upstream.settings.tell_tenant for upstream in gateway.upstreams] == [True]
        await gateway.close()
