from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.account.templates import LEAST, MOST_PROMPTS, Templates, on_a_skeleton
from spiritsafe.detect.types import UNKNOWN, Peers
from spiritsafe.record.sketch import sketch_texts

NOBODY = np.zeros(0, dtype=np.int64)
SHARED = Path(__file__).resolve().parents[4] / "shared" / "traffic" / "prompts"
THINGS = (
    "volcano",
    "parliament",
    "sonata",
    "glacier",
    "turbine",
    "antibody",
    "mortgage",
    "falcon",
    "cathedral",
    "enzyme",
)
FORM = "Give your rationale first and the verdict only afterwards, please. Is every {} also a {}?"


def share(*texts: str) -> float:
    tracker = Templates().tracker()
    tracker.learn(Templates().features(sketch_texts(texts, parts=Templates.parts)))
    n, on = tracker.window()[:2]
    return float(on / n)


def row(n: int, on: float, sort: str = "ask_fact") -> np.ndarray:
    of = np.zeros(len(model().names))
    of[model().names.index(sort)] = n
    return np.concatenate([[n, n * on], of]).astype(np.float32)


def test_slots_that_walk_through_a_corpus_are_a_skeleton() -> None:
    walked = [FORM.format(a, b) for a in THINGS[:5] for b in THINGS[5:]]
    assert share(*walked) == 1.0
    assert share(*(f"what about the {a} and the {b}?" for a in THINGS[:5] for b in THINGS[5:])) < 0.2


def test_slots_filled_with_the_same_few_things_count_once() -> None:
    days = ("on monday", "on friday", "this week", "next week", "today", "in may", "in june", "at noon")
    same = [f"Hello, this is the booking service of our house: is a glacier tour free {day}?" for day in days]
    assert share(*same) <= LEAST / len(same) or share(*same) < 0.8
    marks = np.array([[1, 100 + i, 7] for i in range(50)] + [[1, 200, 8], [1, 201, 9]], dtype=np.float32)
    assert on_a_skeleton(marks) == LEAST


def test_a_closing_is_a_form_too() -> None:
    asked = [f"a {a}? Think about it step by step and write the reasons down." for a in THINGS]
    assert share(*asked) == 1.0


def test_two_of_a_form_are_none() -> None:
    assert share(*(FORM.format(a, "thing") for a in THINGS[: LEAST - 1]), "what time is it", "play some jazz") == 0.0


def test_evaluations_are_held_against_evaluations() -> None:
    rng = np.random.default_rng(1)
    peers = [row(100, 0.0) for _ in range(40)] + [row(100, x, "test_items") for x in rng.uniform(0.4, 1.0, 40)]
    held = Peers(np.stack(peers))

    def statistic(window: np.ndarray) -> float:
        return float(Templates().measure(window[None], held, [NOBODY]).statistic[0])

    assert statistic(row(100, 0.8, "test_items")) < 1.5
    assert statistic(row(100, 0.5)) > 4.0
    found = [statistic(row(n, 0.3)) for n in (16, 64, 256)]
    assert found == sorted(found)


def test_too_few_peers_say_nothing() -> None:
    few = Peers(np.stack([row(50, 0.1)] * 3))
    assert Templates().measure(row(50, 0.5)[None], few, [NOBODY]).statistic[0] == UNKNOWN


def test_beyond_its_memory_a_share_stays_a_share() -> None:
    rng = np.random.default_rng(2)
    tracker = Templates().tracker()
    marks = rng.integers(1, 1 << 24, (4 * MOST_PROMPTS, 3)).astype(np.float32)
    marks[::2, 0] = 5
    rows = np.concatenate([marks, np.full((len(marks), len(model().names)), 1 / len(model().names))], axis=1)
    tracker.learn(rows.astype(np.float32))
    n, on = tracker.window()[:2]
    assert n == 4 * MOST_PROMPTS
    assert on / n == pytest.approx(0.5, abs=0.12)
    assert len(tracker.state()) < 4096


@pytest.mark.skipif(not SHARED.exists(), reason="the shared prompts are not on this machine")
def test_real_harvests_have_forms_and_real_customers_hardly(capsys: pytest.CaptureFixture[str]) -> None:
    def of(name: str) -> float:
        with gzip.open(SHARED / f"{name}.jsonl.gz", "rt") as lines:
            return share(*[json.loads(line)["prompt"][:2000] for _, line in zip(range(200), lines, strict=False)])

    harvests = {name: of(name) for name in ("gpteacher_toolformer", "alpacacot_elicit")}
    customers = {name: of(name) for name in ("nq_open", "hh_rlhf_human_turns", "clinc150", "banking77", "bfcl_live")}
    evaluation = of("bbh_eval")
    with capsys.disabled():
        sys.stdout.write(f"\non a form: {harvests}, {customers}, an evaluation {evaluation:.2f}\n")
    assert min(harvests.values()) > 0.4
    assert max(customers.values()) < 0.1
