from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from spiritsafe.distill.collect import Collector, Gate, split_reasoning
from spiritsafe.distill.recipe import Ceiling, Collect, Price, Sampling
from spiritsafe.distill.rows import Prompt, prompt_id
from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.verify import verify
from spiritsafe.teach.types import Answer, Chat
from spiritsafe.teach.types import Prompt as Asked
from spiritsafe.teach.types import Sampling as Drawn

PROMPTS = [Prompt(prompt_id=prompt_id(f"Q{i}"), text=f"Q{i}", source="s", answer=str(i)) for i in range(30)]


class Scripted:
    """A teacher whose answers and failures follow from the request; counts what it was asked."""

    name = "scripted"

    def __init__(self, fail: float = 0.0, wait: float | None = None) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.answered: Counter[tuple[str, int]] = Counter()
        self._fail = fail
        self._wait = wait
        self._dice = random.Random(0)
        self._lock = threading.Lock()

    def generate(self, prompts: Sequence[Asked], sampling: Drawn) -> list[list[Answer]]:
        (chat,) = prompts
        assert isinstance(chat, Chat)
        key = (chat.messages[-1]["content"], sampling.seed or 0)
        with self._lock:
            self.asked[key] += 1
            if self._dice.random() < self._fail:
                error = ResourceError("busy", remedy="Wait.")
                if self._wait is not None:
                    error.retry_after = self._wait  # type: ignore[attr-defined]
                raise error
            if key[0] == "bad":
                raise InputError("too long", remedy="Shorten it.")
            self.answered[key] += 1
        text = f"<think>hm {key[1]}</think>\nanswer to {key[0]}"
        return [[Answer(choice=0, text=text, finish="stop", prompt_tokens=5, completion_tokens=7)]]


def collector(teacher: Scripted, folder: Path, *, reuse: Sequence[Path] = (), **section: object) -> Collector:
    slept: list[float] = []
    return Collector(teacher, Collect(**section), folder, count=len, reuse=reuse, sleep=slept.append)  # type: ignore[arg-type]


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
    done = collector(Scripted(), tmp_path).run([*PROMPTS[:3], bad], held_out=0.1, seed=0)
    assert len(done.rows) == 3
    assert list(done.failed) == ["x:0"]
    assert "too long" in done.failed["x:0"]


def test_a_teacher_that_never_answers_is_given_up(tmp_path: Path) -> None:
    done = collector(Scripted(fail=1.0), tmp_path, attempts=3).run(PROMPTS[:4], held_out=0.1, seed=0)
    assert len(done.failed) == 4
    assert "no answer after 3 attempts" in next(iter(done.failed.values()))


def test_the_gate_halves_when_it_is_too_much_and_widens_again() -> None:
    gate = Gate(8)
    gate.too_much()
    gate.too_much()
    assert gate.limit == 2
    for _ in range(60):
        gate.well()
    assert gate.limit == 8


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>a b</think>\n\nc", ("a b", "c")),
        (" <think>\na\n</think>c", ("a", "c")),
        ("<think>never ends", (None, "<think>never ends")),
        ("c <think>a</think>", (None, "c <think>a</think>")),
    ],
)
def test_reasoning_is_kept_apart(text: str, parts: tuple[str | None, str]) -> None:
    assert split_reasoning(text) == parts
