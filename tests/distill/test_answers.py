from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from spiritsafe.distill.answers import Answers, load_all, record_folder, request_digest
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog


def exchange(number: int = 0, **more: object) -> Exchange:
    fields: dict[str, object] = {
        "exchange_id": f"e{number}",
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "account_id": "a",
        "model": "m",
        "messages": (Message("user", "Why?"),),
        "completion": f"Because {number}.",
        "params": {"temperature": 0.7, "seed": 3},
    }
    return Exchange(**(fields | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"temperature": 0.7, "seed": 3, "user": "x", "store": True}},
        {"params": {"temperature": 0.7, "seed": 3, "top_p": 1.0, "stop": None, "stream": True}},
        {"params": {"temperature": 0.7, "seed": 3.0}},
        {"messages": (Message("user", [{"type": "text", "text": "Why?"}]),)},
    ],
)
def test_what_does_not_change_an_answer_does_not_change_the_digest(more: dict[str, object]) -> None:
    assert request_digest(exchange(**more)) == request_digest(exchange())


@pytest.mark.parametrize(
    "more",
    [
        {"model": "other"},
        {"system": "Be brief."},
        {"messages": (Message("user", "Why not?"),)},
        {"messages": (Message("user", "Why?"), Message("assistant", "So."), Message("user", "Why?"))},
        {"params": {"temperature": 0.8, "seed": 3}},
        {"params": {"temperature": 0.7, "seed": 4}},
        {"params": {"temperature": 0.7, "seed": 3, "max_tokens": 5}},
    ],
)
def test_what_changes_an_answer_changes_the_digest(more: dict[str, object]) -> None:
    assert request_digest(exchange(**more)) != request_digest(exchange())


def test_two_spellings_of_a_parameter_and_of_the_system_prompt_are_one() -> None:
    a = exchange(params={"max_tokens": 9, "stop": "x"}, system="Be brief.")
    b = exchange(
        params={"max_completion_tokens": 9, "stop": ["x"]},
        messages=(Message("system", "Be brief."), Message("user", "Why?")),
    )
    assert request_digest(a) == request_digest(b)


def test_a_seeded_answer_serves_its_request_again_and_an_unseeded_one_once() -> None:
    answers = Answers()
    assert answers.add(exchange(1))
    assert not answers.add(exchange(1))
    assert [answers.take(exchange()).completion for _ in range(2)] == ["Because 1."] * 2  # type: ignore[union-attr]
    assert answers.take(exchange(params={"temperature": 0.7, "seed": 9})) is None
    for number in (2, 3):
        answers.add(exchange(number, params={"temperature": 0.7}))
    other = exchange(params={"temperature": 0.7, "seed": 9})
    assert [e and e.exchange_id for e in (answers.take(other) for _ in range(3))] == ["e2", "e3", None]


@pytest.mark.parametrize(
    "more", [{"status": 500}, {"completion": None}, {"messages": None}, {"extra": {"finish": "cancelled"}}]
)
def test_what_is_no_answer_is_not_handed_out(more: dict[str, object]) -> None:
    assert not Answers().add(exchange(1, **more))


def test_records_are_found_in_runs_and_data_folders(tmp_path: Path) -> None:
    for number, place in enumerate(("run/collect/record", "data/record")):
        with SealedLog.open(tmp_path / place) as log:
            log.append(exchange(number, params={"seed": number})).result()
    answers = load_all([tmp_path / "run", tmp_path / "data"])
    assert [answers.take(exchange(params={"seed": n})) is not None for n in (0, 1, 2)] == [True, True, False]
    assert record_folder(tmp_path / "data" / "record") == tmp_path / "data" / "record"
    with pytest.raises(InputError, match="no record in it"):
        record_folder(tmp_path)
