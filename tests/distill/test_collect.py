from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import ClassVar

import pytest

from spiritsafe.distill.budget import Budget
from spiritsafe.distill.collect import Askable, AskEach, Collector, Gate
from spiritsafe.distill.recipe import Ceiling, Collect, Price, Sampling
from spiritsafe.distill.requests import Requests
from spiritsafe.distill.rows import Prompt, prompt_id
from spiritsafe.errors import InputError, ResourceError, SpiritsafeError
from spiritsafe.record.verify import verify
from spiritsafe.teach.openai import OpenAITeacher
from spiritsafe.teach.types import Answer, Chat, Unwell
from spiritsafe.teach.types import Prompt as Asked
from spiritsafe.teach.types import Sampling as Drawn

PROMPTS = [Prompt(prompt_id=prompt_id(f"Q{i}"), text=f"Q{i}", source="s", answer=str(i)) for i in range(30)]


class Scripted:
    """A teacher whose answers and failures follow from the request; counts what it was asked."""

    name = "scripted"

    def __init__(self, fail: float = 0.0, *, error: SpiritsafeError | None = None) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.answered: Counter[tuple[str, int]] = Counter()
        self._fail = fail
        self._error = error or Unwell("down", remedy="Wait.")
        self._dice = random.Random(0)
        self._lock = threading.Lock()

    def generate(self, prompts: Sequence[Asked], sampling: Drawn) -> list[list[Answer]]:
        (chat,) = prompts
        assert isinstance(chat, Chat)
        key = (chat.messages[-1]["content"], sampling.seed or 0)
        with self._lock:
            self.asked[key] += 1
            if self._dice.random() < self._fail:
                raise self._error
            if key[0] == "bad":
                raise InputError("too long", remedy="Shorten it.")
            self.answered[key] += 1
        text = f"<think>hm {key[1]}</think>\nanswer to {key[0]}"
        return [[Answer(choice=0, text=text, finish="stop", prompt_tokens=5, completion_tokens=7)]]


def collector(teacher: Askable, folder: Path, *, reuse: Sequence[Path] = (), **fields: object) -> Collector:
    section = Collect(**fields)  # type: ignore[arg-type]
    requests, budget = Requests(teacher.name, section), Budget(section.ceiling, section.price)
    ask = AskEach(teacher, requests, section, budget, count=len, pause=0.001)
    return Collector(requests, section, folder, ask, budget, reuse)


def test_every_sample_of_every_prompt_is_asked_once_and_kept(tmp_path: Path) -> None:
    teacher = Scripted()
    section = {"sampling": Sampling(samples=2, max_tokens=20)}
    done = collector(teacher, tmp_path, **section).run(PROMPTS, held_out=0.2, seed=0)
    assert [(r.prompt, r.sample) for r in done.rows] == [(p.text, s) for p in PROMPTS for s in (0, 1)]
    assert set(teacher.answered.values()) == {1}
    first = done.rows[0]
    assert (first.answer, first.reasoning, first.known, first.finish) == ("answer to Q0", "hm 0", "0", "stop")
    assert 0 < sum(r.held_out for r in done.rows) < 30
    assert done.spent.tokens == 60 * 12
    assert verify(tmp_path / "record").verdict == "intact"


def test_what_failed_is_asked_again_and_nothing_twice(tmp_path: Path) -> None:
    teacher = Scripted(fail=0.3)
    done = collector(teacher, tmp_path, attempts=12).run(PROMPTS, held_out=0.1, seed=0)
    assert len(done.rows) == 30
    assert set(teacher.answered.values()) == {1}
    assert not done.failed


def test_a_second_run_pays_for_nothing(tmp_path: Path) -> None:
    collector(Scripted(), tmp_path / "a").run(PROMPTS[:20], held_out=0.1, seed=0)
    again, other = Scripted(), Scripted()
    done = collector(again, tmp_path / "a").run(PROMPTS, held_out=0.1, seed=0)
    assert (done.asked, done.reused) == (10, 20)
    assert done.spent.requests == 30  # what the first run paid counts against the ceiling
    done = collector(other, tmp_path / "b", reuse=[tmp_path / "a" / "record"]).run(PROMPTS, held_out=0.1, seed=0)
    assert (done.asked, done.reused) == (0, 30)
    assert not other.asked
    assert done.spent.requests == 0


def test_the_ceiling_stops_for_good_and_says_what_is_left(tmp_path: Path) -> None:
    section = {
        "ceiling": Ceiling(money=0.001),
        "price": Price(completion_per_million=10.0),
        "sampling": Sampling(max_tokens=9),
    }
    done = collector(Scripted(), tmp_path, **section).run(PROMPTS, held_out=0.1, seed=0)
    assert done.stopped == "one more answer could cross the ceiling of 0.001 USD"
    assert done.spent.money <= 0.001
    assert done.asked + done.unasked == 30
    assert done.asked >= 10  # 14 answers of 7 tokens fit; some room is held for those under way


def test_a_request_the_teacher_refuses_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bad = Prompt(prompt_id="x", text="bad", source="s")
    teacher = Scripted()
    done = collector(teacher, tmp_path).run([*PROMPTS[:3], bad], held_out=0.1, seed=0)
    assert len(done.rows) == 3
    assert list(done.refused) == ["x:0"]
    assert "too long" in done.refused["x:0"]
    assert teacher.asked["bad", 0] == 1
    assert (done.failed, done.unasked) == ({}, 0)


def test_a_request_without_an_answer_is_given_up_after_its_attempts(tmp_path: Path) -> None:
    teacher = Scripted(fail=1.0)
    done = collector(teacher, tmp_path, attempts=3).run(PROMPTS[:4], held_out=0.1, seed=0)
    assert len(done.failed) == 4
    assert set(teacher.asked.values()) == {3}
    assert "down" in next(iter(done.failed.values()))


def test_a_teacher_that_is_dead_is_given_up_before_every_request_has_been_tried(tmp_path: Path) -> None:
    teacher = Scripted(fail=1.0)
    with pytest.raises(ResourceError, match=r"given up after 12 requests in a row without an answer: down"):
        collector(teacher, tmp_path, attempts=3, concurrency=2).run(PROMPTS, held_out=0.1, seed=0)
    assert sum(teacher.asked.values()) <= 14


def test_an_error_that_will_not_pass_ends_it_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    teacher = Scripted(fail=0.2, error=ResourceError("no credit", remedy="Pay."))
    with pytest.raises(ResourceError, match="no credit"):
        collector(teacher, tmp_path).run(PROMPTS, held_out=0.1, seed=0)
    again = Scripted()
    done = collector(again, tmp_path).run(PROMPTS, held_out=0.1, seed=0)
    assert done.reused == sum(teacher.answered.values())
    assert not set(teacher.answered) & set(again.asked)


def test_requests_that_were_under_way_together_halve_the_gate_once() -> None:
    gate = Gate(8)
    tickets = [gate.enter() for _ in range(8)]
    for ticket in tickets:
        gate.too_much(ticket, 0.0)
        gate.leave()
    assert gate.limit == 4
    gate.too_much(gate.enter(), 0.0)
    assert gate.limit == 2
    for _ in range(60):
        gate.well()
    assert gate.limit == 8


def test_nobody_enters_the_gate_while_the_teacher_wants_to_be_left_alone() -> None:
    gate = Gate(2)
    gate.too_much(gate.enter(), 0.05)
    gate.leave()
    started = time.monotonic()
    gate.enter()
    assert time.monotonic() - started >= 0.05


def test_when_collecting_ends_nobody_waits_at_the_gate() -> None:
    gate = Gate(1)
    gate.too_much(gate.enter(), 500.0)
    waiting = [threading.Thread(target=gate.enter), threading.Thread(target=gate.rest, args=(500.0,))]
    for thread in waiting:
        thread.start()
    gate.let_go()
    for thread in waiting:
        thread.join(120)
        assert not thread.is_alive()


class Busy(BaseHTTPRequestHandler):
    """Turns the first requests away with 429 and a Retry-After, and notes when each came."""

    came: ClassVar[list[float]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.came.append(time.monotonic())
        if len(self.came) <= 3:
            self.send_response(429)
            self.send_header("retry-after", "0.3")
            body: dict[str, object] = {"error": {"message": "slow down", "type": "rate_limit"}}
        else:
            self.send_response(200)
            message = {"role": "assistant", "content": asked["messages"][-1]["content"].lower()}
            body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        data = json.dumps(body).encode()
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def test_a_busy_server_is_left_alone_for_as_long_as_it_asks_and_asked_less_at_once(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        teacher = OpenAITeacher(f"http://127.0.0.1:{server.server_port}/v1", "m", None, attempts=1)
        done = collector(teacher, tmp_path, concurrency=3).run(PROMPTS[:9], held_out=0.1, seed=0)
    finally:
        server.shutdown()
        server.server_close()
    assert [r.answer for r in done.rows] == [p.text.lower() for p in PROMPTS[:9]]
    came = Busy.came
    assert len(came) == 12
    assert came[3] - came[2] >= 0.29  # nobody asked until the last Retry-After had passed


@pytest.mark.parametrize("killed", ["collector", "server"])
def test_nothing_is_lost_nor_paid_for_twice_when_the_collector_or_the_server_is_killed(
    tmp_path: Path, killed: str
) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "collect.py"
    spec = spec_from_file_location("benchmark_collect", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    arguments = module.parser().parse_args(["--answers", "45", "--concurrency", "4"])
    outcome = module.play(killed, arguments, tmp_path)
    assert (outcome.lost, outcome.twice_after_durable) == (0, 0)
    assert outcome.requests > 45
    assert all(count <= 4 for count in outcome.under_way)
    assert outcome.answered_twice <= sum(outcome.answered_and_unstored)
