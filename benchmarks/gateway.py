"""The gateway beside nginx and LiteLLM's proxy, in one run: CPU a request and a streamed chunk, added latency.

A fast fake upstream answers about 1,000 characters whole, or in 64 chunks 2 ms apart. The gateway runs as it
comes: keys, the durable record with all text, the watcher with a reference. Programs take turns, round after
round, and the medians over rounds are shown; each other program's figures are ratios of the same run. CPU is
what the kernel says of the whole process tree, the watcher apart. Latency is at one connection, against the
upstream asked directly.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import msgspec
import uvloop

from parts import load, running

LITELLM = "1.100.5"
"""Pinned: 1.82.7, 1.82.8 and 1.107.0 were compromised releases."""

BENCH = running.HERE.parent / ".bench"
CONNECTIONS = 16
PATH = "/v1/chat/completions"


class Program(msgspec.Struct):
    """Something that stands before the upstream. ``apart`` are processes whose CPU is shown by itself."""

    name: str
    port: int
    pid: int
    key: str
    apart: list[int] = []
    share: float = 1.0
    """Of the requests of a round: a slow program gets fewer."""

    def pids(self) -> list[int]:
        return [pid for pid in running.children(self.pid) if pid not in self.apart]


class Figures(msgspec.Struct):
    """What one program used in one round; microseconds, seconds for latencies, MB."""

    request: list[float] = []
    chunk: list[float] = []
    watcher: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    first: list[float] = []
    memory: list[float] = []


def _body(*, stream: bool) -> bytes:
    turns = [
        {"role": "system", "content": "You answer in plain words, briefly, and say so when you do not know."},
        {"role": "user", "content": "How does the shape of a still change what comes out of it? " * 14},
    ]
    body = {"model": "bench", "messages": turns, "temperature": 0.7, "max_tokens": 300, "stream": stream}
    return json.dumps(body).encode()


WHOLE, STREAMED = _body(stream=False), _body(stream=True)


@contextmanager
def _spiritsafe(folder: Path, upstream: int) -> Iterator[Program | str]:
    data = folder / "data"
    key = running.new_key(data)
    _reference(data)
    settings = {
        "upstreams": [{"url": f"http://127.0.0.1:{upstream}", "speaks": ["chat"]}],
        "watch": {"every": "5s"},
    }
    process, said = running.serve(data, settings)
    try:
        yield Program("spiritsafe", said["port"], process.pid, key, apart=[said["watcher"]])
    finally:
        running.end(process)


def _reference(data: Path) -> None:
    """A small reference, so that the watcher has something to compare with: it must not idle."""
    from datetime import UTC, datetime

    from spiritsafe.detect.calibrate import reference_of_exchanges
    from spiritsafe.drill.crowd import crowd

    exchanges = sorted(crowd(1, {"person": 3, "coder": 1}, 90), key=lambda exchange: exchange.time)
    reference_of_exchanges(exchanges, made=datetime.now(UTC), source="a simulated crowd").save(data / "reference")


@contextmanager
def _nginx(folder: Path, upstream: int) -> Iterator[Program | str]:
    binary = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        yield "nginx is not installed"
        return
    port = _free_port()
    config = folder / "nginx.conf"
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; {paths} keepalive_requests 10000000;\n"
        f"upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 10000000; }}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://up; proxy_http_version 1.1;\n"
        'proxy_set_header Connection ""; proxy_buffering off; } } }\n'
    )
    process = subprocess.Popen([binary, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        if running.wait_for_port(port, process, 10):
            yield Program("nginx", port, process.pid, "none", share=2.0)
        else:
            yield "nginx did not begin"
    finally:
        running.end(process, signal.SIGQUIT)


@contextmanager
def _litellm(folder: Path, upstream: int) -> Iterator[Program | str]:
    program = BENCH / "litellm" / "bin" / "litellm"
    problem = None if program.exists() else _install_litellm()
    if problem is not None:
        yield problem
        return
    port = _free_port()
    config = folder / "litellm.yaml"
    behind = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none"}
    models = [{"model_name": "bench", "litellm_params": behind}]
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": "sk-bench"}}))
    command = [
        str(program),
        "--config",
        str(config),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--telemetry",
        "False",
    ]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        if running.wait_for_port(port, process, 180):
            time.sleep(5)  # it opens the port before it has finished to begin
            yield Program("litellm", port, process.pid, "sk-bench", share=0.06)
        else:
            yield f"LiteLLM {LITELLM} did not begin: {(folder / 'litellm.log').read_text()[-300:]}"
    finally:
        running.end(process)


def _install_litellm() -> str | None:
    """Put it into a virtual environment of its own; what went wrong, if anything."""
    home = BENCH / "litellm"
    for command in (
        [sys.executable, "-m", "venv", str(home)],
        [str(home / "bin" / "pip"), "install", "-q", f"litellm[proxy]=={LITELLM}"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(home, ignore_errors=True)
            return f"LiteLLM {LITELLM} can't be installed: {done.stderr.strip().splitlines()[-1:]}"
    return None


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _round(program: Program, figures: Figures, requests: int, streams: int, single: int) -> None:
    """One turn of one program."""
    whole = load.request(program.port, PATH, WHOLE, program.key)
    streamed = load.request(program.port, PATH, STREAMED, program.key)
    pids = program.pids()
    count = max(CONNECTIONS, round(requests * program.share))
    await load.drive(program.port, whole, requests=CONNECTIONS * 4, connections=CONNECTIONS)
    before, apart = running.cpu(pids), running.cpu(program.apart)
    await load.drive(program.port, whole, requests=count, connections=CONNECTIONS)
    figures.request.append((running.cpu(pids) - before) / count * 1e6)
    count = max(CONNECTIONS, round(streams * max(program.share, 0.3)))
    before = running.cpu(pids)
    await load.drive(program.port, streamed, requests=count, connections=CONNECTIONS)
    figures.chunk.append((running.cpu(pids) - before) / count / 64 * 1e6)
    if program.apart:
        await asyncio.sleep(6)  # what the watcher has to do for these requests, it does by then
        figures.watcher.append((running.cpu(program.apart) - apart) / (requests + streams + 4 * CONNECTIONS) * 1e6)
    count = max(50, round(single * program.share))
    alone = await load.drive(program.port, whole, requests=count, connections=1)
    figures.p50.append(alone.quantile(0.5))
    figures.p99.append(alone.quantile(0.99))
    few = await load.drive(program.port, streamed, requests=8, connections=1)
    figures.first.append(median(few.firsts))
    figures.memory.append(running.memory(pids))


def _table(found: dict[str, Figures]) -> None:
    ours, direct = found["spiritsafe"], found["direct"]
    print(f"{'':12}{'us/request':>12}{'us/chunk':>10}{'+p50 ms':>10}{'+p99 ms':>10}{'+first ms':>11}{'RSS MB':>9}")
    for name, each in found.items():
        if name == "direct":
            print(f"{name:12}{'':12}{'':10}", end="")
            print(f"{median(each.p50) * 1e3:10.3f}{median(each.p99) * 1e3:10.3f}{median(each.first) * 1e3:11.3f}")
            continue
        added = [
            median(a) - median(b)
            for a, b in ((each.p50, direct.p50), (each.p99, direct.p99), (each.first, direct.first))
        ]
        print(f"{name:12}{median(each.request):12.0f}{median(each.chunk):10.1f}", end="")
        print("".join(f"{value * 1e3:{width}.3f}" for value, width in zip(added, (10, 10, 11), strict=True)), end="")
        print(f"{median(each.memory):9.0f}")
    print(f"the watcher, apart: {median(ours.watcher):.0f} us a request")
    for name, each in found.items():
        if name not in ("spiritsafe", "direct"):
            request, chunk = median(ours.request) / median(each.request), median(ours.chunk) / median(each.chunk)
            print(f"spiritsafe / {name}: {request:.3f} of its CPU a request, {chunk:.3f} a chunk", end="")
            print(f"  (1/{1 / request:.1f}, 1/{1 / chunk:.1f})" if request < 1 else "")


def main() -> int:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--streams", type=int, default=320)
    parser.add_argument("--single", type=int, default=600)
    parser.add_argument("--without", nargs="*", default=[], choices=["nginx", "litellm"])
    given = parser.parse_args()
    made: dict[str, Callable[..., object]] = {"spiritsafe": _spiritsafe, "nginx": _nginx, "litellm": _litellm}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(running.upstream())
        programs = [Program("direct", upstream, os.getpid(), "none")]
        for each, make in made.items():
            if each in given.without:
                continue
            begun = stack.enter_context(make(folder, upstream))  # type: ignore[arg-type]
            if isinstance(begun, str):
                print(f"without {each}: {begun}")
            else:
                programs.append(begun)
        found = {program.name: Figures() for program in programs}
        for number in range(given.rounds):
            for program in programs:
                turn = _round(program, found[program.name], given.requests, given.streams, given.single)
                uvloop.run(turn)
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr)
        _table(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
