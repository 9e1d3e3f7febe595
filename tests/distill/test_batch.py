from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.distill import batch
from spiritsafe.distill.batch import AskBatches
from spiritsafe.distill.batch_api import BatchApi
from spiritsafe.distill.budget import Budget
from spiritsafe.distill.collect import Collected, Collector
from spiritsafe.distill.recipe import Ceiling, Collect, Price, Sampling
from spiritsafe.distill.requests import Requests
from spiritsafe.distill.rows import Prompt, prompt_id
from spiritsafe.errors import ResourceError
from spiritsafe.record.verify import verify
from spiritsafe.teach.openai import OpenAITeacher

TEXTS = [f"q{i}" for i in range(8)]


def prompts(*texts: str) -> list[Prompt]:
    return [Prompt(prompt_id=prompt_id(t), text=t, source="s") for t in texts]


def collector(url: str, folder: Path, *, clock: Callable[[], float] = time.monotonic, **fields: object) -> Collector:
    section = Collect(batch=True, **fields)  # type: ignore[arg-type]
    teacher = OpenAITeacher(url, "m", None)
    requests, budget = Requests("m", section), Budget(section.ceiling, section.price, batch=True, clock=clock)
    api = BatchApi(url, {})
    ask = AskBatches(api, teacher, requests, section, budget, folder / "batches", count=len, poll=0.01)
    return Collector(requests, section, folder, ask, budget)


def run(url: str, folder: Path, *texts: str, **fields: object) -> Collected:
    return collector(url, folder, **fields).run(prompts(*texts), held_out=0.1, seed=0)


def test_everything_is_answered_in_one_batch_and_is_in_the_record(batch_server, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    section = {"sampling": Sampling(samples=2, max_tokens=9)}
    done = collector(batch_server.url, tmp_path, **section).run(
        prompts(*TEXTS), held_out=0.1, seed=0, report=lambda *now: shown.append(now)
    )
    assert [(r.prompt, r.sample, r.answer) for r in done.rows] == [(t, s, t.upper()) for t in TEXTS for s in (0, 1)]
    assert len(batch_server.batches) == 1
    assert shown[-1] == (16, 16)
    assert verify(tmp_path / "record").verdict == "intact"
    assert not list((tmp_path / "batches").glob("*.json"))
    again = run(batch_server.url, tmp_path, *TEXTS, **section)
    assert (again.asked, again.reused, len(batch_server.batches)) == (0, 16, 1)


def test_what_fails_is_asked_again_in_another_batch_and_nothing_else_is(batch_server, tmp_path: Path) -> None:
    done = run(batch_server.url, tmp_path, "good", "flaky", "late", "garbled")
    assert [r.answer for r in done.rows] == ["GOOD", "FLAKY", "LATE", "GARBLED"]
    assert len(batch_server.batches) == 2
    assert dict(batch_server.seen) == {"good": 1, "flaky": 2, "late": 2, "garbled": 2}


def test_what_the_provider_refuses_is_named_and_not_asked_again(batch_server, tmp_path: Path) -> None:
    done = run(batch_server.url, tmp_path, "good", "bad")
    assert [r.answer for r in done.rows] == ["GOOD"]
    assert "no such thing" in done.refused[f"{prompt_id('bad')}:0"]
    assert batch_server.seen["bad"] == 1


def test_a_request_that_never_succeeds_is_given_up(batch_server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(batch_server, "answer", lambda asked: (False, ""))
    done = run(batch_server.url, tmp_path, "q", attempts=3)
    assert len(batch_server.batches) == 3
    assert "ended without an answer" in done.failed[f"{prompt_id('q')}:0"]


def test_the_rest_of_an_expired_batch_goes_into_another(batch_server, tmp_path: Path) -> None:
    batch_server.ending = "expired"
    done = run(batch_server.url, tmp_path, *TEXTS)
    assert len(done.rows) == 8
    assert len(batch_server.batches) == 2
    assert set(batch_server.answered.values()) == {1}


@pytest.mark.parametrize(
    ("ending", "message"), [("failed", "too many tokens are waiting"), ("cancelled", "was cancelled at the provider")]
)
def test_a_batch_that_was_not_taken_or_was_stopped_ends_it_and_says_why(
    batch_server, tmp_path: Path, ending: str, message: str
) -> None:
    batch_server.ending, batch_server.reason = ending, "too many tokens are waiting"
    with pytest.raises(ResourceError, match=message):
        run(batch_server.url, tmp_path, *TEXTS)
    batch_server.ending = "completed"
    done = run(batch_server.url, tmp_path, *TEXTS)
    assert len(done.rows) == 8
    assert set(batch_server.answered.values()) == {1}  # what a stopped batch had answered was kept


def test_many_requests_are_cut_into_batches(batch_server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(batch, "MOST_REQUESTS", 3)
    assert len(run(batch_server.url, tmp_path / "a", *TEXTS).rows) == 8
    assert len(batch_server.batches) == 3
    monkeypatch.setattr(batch, "MOST_BYTES", 300)
    assert len(run(batch_server.url, tmp_path / "b", *TEXTS).rows) == 8
    assert max(len(f) for f in (batch_server.files[b["input_file_id"]] for b in batch_server.batches[3:])) <= 300


def test_the_ceiling_holds_and_the_discount_counts(batch_server, tmp_path: Path) -> None:
    price = Price(completion_per_million=10.0, discount=0.5)
    section = {"sampling": Sampling(max_tokens=9), "price": price, "ceiling": Ceiling(money=0.0002)}
    done = run(batch_server.url, tmp_path, *TEXTS, **section)
    assert done.spent.money == pytest.approx(len(done.rows) * 7 * 5e-6)
    assert done.spent.money <= 0.0002
    assert "ceiling of 0.0002 USD" in (done.stopped or "")
    # Of the 40 tokens that can be paid, a round takes what fits at 9 each; what was saved goes into the next.
    assert len(done.rows) == 5
    assert done.unasked == 3


def test_the_ceiling_of_hours_leaves_the_batch_under_way_for_a_later_run(batch_server, tmp_path: Path) -> None:
    batch_server.polls = 10**9
    late = collector(
        batch_server.url,
        tmp_path,
        ceiling=Ceiling(hours=1.0),
        clock=lambda: 3601.0 if batch_server.batches else 0.0,
    )
    done = late.run(prompts(*TEXTS), held_out=0.1, seed=0)
    assert "still under way" in (done.stopped or "")
    assert (len(done.rows), done.unasked) == (0, 8)
    batch_server.polls = 1
    assert len(run(batch_server.url, tmp_path, *TEXTS).rows) == 8
    assert len(batch_server.batches) == 1


def test_a_submission_whose_answer_was_lost_is_found_and_not_repeated(batch_server, tmp_path: Path) -> None:
    batch_server.drop_after_create = 1
    assert len(run(batch_server.url, tmp_path, *TEXTS).rows) == 8
    assert len(batch_server.batches) == 1


def test_a_server_that_is_not_well_for_a_while_is_waited_for(batch_server, tmp_path: Path) -> None:
    batch_server.unwell = 3
    assert len(run(batch_server.url, tmp_path, *TEXTS).rows) == 8


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import importlib
module = importlib.import_module("test_batch")
done = module.run({url!r}, Path({folder!r}), *module.TEXTS)
print(len(done.rows))
"""


def killed(url: str, folder: Path, when: Callable[[], bool]) -> None:
    """Start a collector in its own process and kill it with SIGKILL as soon as ``when`` is true."""
    code = CHILD.format(here=str(Path(__file__).parent), url=url, folder=str(folder))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not when() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL


def test_a_run_killed_before_it_heard_of_its_batch_finds_it_again(batch_server, tmp_path: Path) -> None:
    batch_server.hold_after_create = 30.0
    killed(batch_server.url, tmp_path, lambda: bool(batch_server.batches))
    batch_server.hold_after_create = 0.0
    done = run(batch_server.url, tmp_path, *TEXTS)
    assert len(done.rows) == 8
    assert len(batch_server.batches) == 1
    assert set(batch_server.answered.values()) == {1}


def test_a_run_killed_while_it_waits_fetches_the_same_batch(batch_server, tmp_path: Path) -> None:
    batch_server.polls = 10**9
    killed(batch_server.url, tmp_path, lambda: bool(batch_server.batches) and batch_server.batches[0]["looks"] > 1)
    batch_server.polls = 1
    assert len(run(batch_server.url, tmp_path, *TEXTS).rows) == 8
    assert len(batch_server.batches) == 1


def test_a_run_killed_before_it_submitted_anything_submits_once(batch_server, tmp_path: Path) -> None:
    batch_server.unwell = 10**9
    killed(batch_server.url, tmp_path, lambda: bool(list((tmp_path / "batches").glob("*.json"))))
    batch_server.unwell = 0
    assert len(run(batch_server.url, tmp_path, *TEXTS).rows) == 8
    assert len(batch_server.batches) == 1
    assert not list((tmp_path / "batches").glob("*.json"))


def test_a_run_that_died_with_half_of_the_answers_stored_stores_the_other_half(
    batch_server, tmp_path: Path, monkeypatch
) -> None:
    stored = Requests.answered
    left = iter(range(4))

    def dies(self: Requests, *given: object) -> object:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return stored(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Requests, "answered", dies)
    with pytest.raises(KeyboardInterrupt):
        run(batch_server.url, tmp_path, *TEXTS)
    monkeypatch.setattr(Requests, "answered", stored)
    done = run(batch_server.url, tmp_path, *TEXTS)
    assert (len(done.rows), done.reused, len(batch_server.batches)) == (8, 4, 1)
    assert len({r.exchange_id for r in done.rows}) == 8
