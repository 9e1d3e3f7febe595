"""Collecting under fire: a server that fails one request in ten, and SIGKILL for the collector or for the server.

    python benchmarks/collect.py                        # 2,000 answers, each variant killed twice
    python benchmarks/collect.py --answers 200 --variants collector

The server and the collector (`spiritsafe distill --until collect`) are processes of their own. The server answers
nine requests in ten; the others get a 500, a 429 with Retry-After, a connection closed without a word, or an answer
cut in the middle of its JSON, in turn. It writes down every request when it comes and when its whole answer has been
sent. After a kill the collector's record is read: what is in it was durable, and must not be asked again.

What can't be had is said plainly: at a SIGKILL some requests are under way. The server may have answered them (a paid
API would charge), but nobody was there to store the answer. They are counted, and are at most the concurrency.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, ClassVar

RECIPE = """\
purpose: student
teacher: {{source: "openai:http://127.0.0.1:{port}/v1#local", terms: HuggingFaceTB/SmolLM2-135M-Instruct}}
prompts: [{{generate: arithmetic, count: {answers}, seed: 0}}]
student: {{prune: {{layers: 20}}}}
collect: {{concurrency: {concurrency}, attempts: 12, sampling: {{max_tokens: 64}}}}
"""
DOWN = 1.0  # seconds for which a killed server is away


class Handler(BaseHTTPRequestHandler):
    """Answers a chat with its own question; fails as told."""

    protocol_version = "HTTP/1.1"
    log: ClassVar[IO[str]]
    lock: ClassVar[threading.Lock] = threading.Lock()
    turns: ClassVar[itertools.count[int]] = itertools.count()
    faults: ClassVar[itertools.cycle[str]] = itertools.cycle(("500", "429", "drop", "cut"))
    fail: ClassVar[float]
    delay: ClassVar[float]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = asked["messages"][-1]["content"]
        with self.lock:
            turn, every = next(self.turns), round(1 / self.fail) if self.fail else 0
            fault = next(self.faults) if every and turn % every == every - 1 else None
        self.note("asked", prompt)
        time.sleep(self.delay)
        message = {"role": "assistant", "content": f"You ask: {prompt}"}
        body = {
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 50},
        }
        data = json.dumps(body).encode()
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if fault in ("500", "429"):
            self.answer(
                int(fault), b'{"error": {"message": "on purpose"}}', {"retry-after": "0.1"} if fault == "429" else {}
            )
            return
        try:
            self.answer(200, data[: len(data) // 2] if fault == "cut" else data, {})
        except OSError:  # the collector is dead
            return
        if fault is None:
            self.note("answered", prompt)

    def answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def note(self, event: str, prompt: str) -> None:
        with self.lock:
            self.log.write(json.dumps([time.time(), event, prompt]) + "\n")
            self.log.flush()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A collector that was killed leaves broken connections: no news."""


def serve(arguments: argparse.Namespace) -> None:
    Handler.fail, Handler.delay = arguments.fail, arguments.delay
    with Path(arguments.log).open("a", encoding="utf-8") as Handler.log:
        server = Server(("127.0.0.1", arguments.port), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()


@dataclass
class Outcome:
    """What one variant came to. ``twice_after_durable`` and ``lost`` are to be 0."""

    wanted: int
    rows: int
    requests: int
    twice_after_durable: int
    answered_twice: int
    under_way: list[int]
    answered_and_unstored: list[int]
    seconds: float

    @property
    def lost(self) -> int:
        return self.wanted - self.rows


class Stage:
    """The processes and files of one variant."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self.arguments = arguments
        self.log = folder / "server.jsonl"
        self.log.touch()
        self.port = 0
        self.server = self.start_server()
        (folder / "recipe.yaml").write_text(
            RECIPE.format(port=self.port, answers=arguments.answers, concurrency=arguments.concurrency)
        )
        self.collector = self.start_collector(resume=False)

    def start_server(self) -> subprocess.Popen[str]:
        a = self.arguments
        command = [sys.executable, __file__, "--serve", "--port", str(self.port), "--log", str(self.log)]
        command += ["--fail", str(a.fail), "--delay", str(a.delay)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        process.stdout.close()
        return process

    def start_collector(self, *, resume: bool) -> subprocess.Popen[bytes]:
        code = "import sys; from spiritsafe.cli import main; sys.argv[0] = 'spiritsafe'; main()"
        command = [sys.executable, "-c", code, "distill", str(self.folder / "recipe.yaml"), "--until", "collect"]
        command += ["--out", str(self.folder / "run"), *(["--resume"] if resume else [])]
        with (self.folder / "collector.txt").open("ab") as out:
            return subprocess.Popen(command, stdout=out, stderr=out)

    def events(self) -> list[tuple[float, str, str]]:
        """When the server was asked what, and when it had answered; a line cut by a kill is left out."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [tuple(json.loads(line)) for line in lines if line.endswith("]")]

    def answered(self) -> int:
        return sum(event == "answered" for _, event, _ in self.events())

    def wait_for(self, answers: int) -> None:
        while self.answered() < answers:
            if self.collector.poll() is not None:
                sys.exit(f"the collector ended early:\n{(self.folder / 'collector.txt').read_text()}")
            time.sleep(0.02)

    def stored(self) -> dict[str, float]:
        """The prompts whose answers are in the record, and when the first answer to each had come."""
        from spiritsafe.record.exchange import prompt_text
        from spiritsafe.record.reader import read

        found: dict[str, float] = {}
        for _, exchange in read(self.folder / "run" / "collect" / "record"):
            came = exchange.time.timestamp() + (exchange.latency_ms or 0.0) / 1000
            found.setdefault(prompt_text(exchange) or "", came)
        return found

    def close(self) -> None:
        for process in (self.collector, self.server):
            if process.poll() is None:
                process.kill()
            process.wait()


def kill(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def play(variant: str, arguments: argparse.Namespace, folder: Path) -> Outcome:
    """Collect with two kills, at a third and at two thirds of the answers."""
    began = time.monotonic()
    stage = Stage(folder, arguments)
    under_way: list[int] = []
    unstored: list[int] = []
    try:
        for share in (1, 2):
            stage.wait_for(share * arguments.answers // 3)
            if variant == "server":
                kill(stage.server)
                time.sleep(DOWN)
                stage.server = stage.start_server()
                continue
            kill(stage.collector)
            time.sleep(2 * arguments.delay + 0.2)  # the server ends what was under way
            stored, events = stage.stored(), stage.events()
            under_way.append(len({p for _, e, p in events if e == "asked" and p not in stored}))
            unstored.append(len({p for _, e, p in events if e == "answered" and p not in stored}))
            stage.collector = stage.start_collector(resume=True)
        if stage.collector.wait():
            sys.exit((folder / "collector.txt").read_text())
    finally:
        stage.close()
    seconds = time.monotonic() - began
    from spiritsafe.distill.rows import read_rows

    rows = read_rows(folder / "run" / "collect" / "rows.parquet")
    stored, events = stage.stored(), stage.events()
    times = Counter(p for _, e, p in events if e == "answered")
    return Outcome(
        wanted=arguments.answers,
        rows=len({r.prompt for r in rows if r.answer == f"You ask: {r.prompt}"}),
        requests=sum(e == "asked" for _, e, _ in events),
        twice_after_durable=sum(e == "asked" and p in stored and t > stored[p] for t, e, p in events),
        answered_twice=sum(n > 1 for n in times.values()),
        under_way=under_way,
        answered_and_unstored=unstored,
        seconds=seconds,
    )


def report(variant: str, o: Outcome, arguments: argparse.Namespace) -> None:
    print(f"\nthe {variant} killed twice (SIGKILL), {arguments.fail:.0%} of requests failed on purpose:")
    print(f"  {o.rows:,} of {o.wanted:,} answers kept, each the right one; lost: {o.lost}")
    print(f"  asked again although the answer was durable: {o.twice_after_durable}")
    print(f"  requests: {o.requests:,}; prompts answered more than once: {o.answered_twice}", end="")
    print(" (open at a kill, see below)" if o.answered_twice else "")
    if o.under_way:
        print(
            f"  open at the kills: {o.under_way} requests, of which the server had answered {o.answered_and_unstored}."
        )
        print(
            f"  Nobody could store those (at most {arguments.concurrency} a kill): a paid API charges for them twice."
        )
    print(f"  wall time {o.seconds:.1f} s with every restart ({o.wanted / o.seconds:,.0f} answers/s)")


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--answers", type=int, default=2000)
    found.add_argument("--fail", type=float, default=0.1, help="share of requests that fail on purpose")
    found.add_argument("--concurrency", type=int, default=16)
    found.add_argument("--delay", type=float, default=0.02, help="seconds that the server takes for an answer")
    found.add_argument("--variants", nargs="+", choices=["collector", "server"], default=["collector", "server"])
    found.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    found.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    found.add_argument("--log", help=argparse.SUPPRESS)
    return found


def main() -> None:
    arguments = parser().parse_args()
    if arguments.serve:
        serve(arguments)
        return
    bad = False
    for variant in arguments.variants:
        with tempfile.TemporaryDirectory() as folder:
            outcome = play(variant, arguments, Path(folder))
        report(variant, outcome, arguments)
        bad |= bool(outcome.lost or outcome.twice_after_durable)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
