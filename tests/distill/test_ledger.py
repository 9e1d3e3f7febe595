from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.ledger import NAME, WATTS, Book, Entry, Ledger, bill, read_ledger
from spiritsafe.errors import InputError, ResourceError

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def entry(stage="train", **more):
    return Entry(stage=stage, what="work", time=NOW, **more)


def test_what_is_entered_is_on_disk_and_found_by_the_next_process(tmp_path):
    book = Book(tmp_path)
    book.about(teacher="smollm2", teacher_params=135e6)
    book.add(entry("collect", seconds=10, tokens_in=100, tokens_out=900, money=0.25))
    assert read_ledger(tmp_path) == book.ledger
    again = Book(tmp_path)
    again.about(student_params=99e6)
    again.add(entry("train", seconds=20, flops=1e12))
    found = read_ledger(tmp_path)
    assert [e.stage for e in found.entries] == ["collect", "train"]
    assert (found.teacher, found.teacher_params, found.student_params) == ("smollm2", 135e6, 99e6)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_a_bill_adds_up_by_stage_and_in_all():
    ledger = Ledger(
        entries=(
            entry("collect", seconds=100, tokens_in=10, tokens_out=20, money=1.0, reused=3),
            entry("train", seconds=3600, tokens_trained=1000, flops=5e12, watts=250.0),
            entry("collect", seconds=50, money=2.0, currency="EUR"),
        )
    )
    found = bill(ledger)
    assert list(found.stages) == ["collect", "train"]
    assert found.stages["collect"].money == {"USD": 1.0, "EUR": 2.0}
    assert found.stages["collect"].reused == 3
    assert found.total.seconds == 3750
    assert found.total.flops == 5e12
    assert found.stages["train"].kwh == pytest.approx(0.25)
    assert found.stages["collect"].kwh == pytest.approx(150 * WATTS / 3.6e6)
    assert "65 W" in found.energy_assumption


def test_a_bill_compares_with_training_from_nothing_and_with_the_teachers_own_training():
    found = bill(Ledger(teacher="smollm2", student_params=99e6, entries=(entry(flops=1e15),)))
    assert found.from_nothing_flops == pytest.approx(6 * 99e6 * 20 * 99e6)
    assert found.of_from_nothing == pytest.approx(1e15 / found.from_nothing_flops)
    assert found.teacher_published.name == "SmolLM2-135M"
    assert found.of_teacher_flops == pytest.approx(1e15 / (6 * 135e6 * 2e12))


def test_what_is_not_known_is_not_compared():
    found = bill(Ledger(teacher="somebody", entries=()))
    assert (found.from_nothing_flops, found.of_from_nothing, found.of_teacher_flops) == (None, None, None)
    assert found.teacher_published is None
    assert found.total.money == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1e9), st.integers(0, 10**9))))
def test_the_stages_add_up_to_the_total(items):
    found = bill(Ledger(entries=tuple(entry(s, seconds=x, tokens_in=n) for s, x, n in items)))
    assert sum(t.seconds for t in found.stages.values()) == pytest.approx(found.total.seconds)
    assert sum(t.tokens_in for t in found.stages.values()) == found.total.tokens_in


@pytest.mark.parametrize("bad", [{"money": -0.01}, {"seconds": math.nan}, {"flops": math.inf}, {"tokens_in": -1}])
def test_spending_is_never_negative(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        entry(**bad)


def test_a_crash_between_writing_and_renaming_leaves_the_old_ledger(tmp_path):
    Book(tmp_path).add(entry(money=1.0))
    (tmp_path / f".{NAME}.part").write_bytes(b'{"entries": [')
    assert Book(tmp_path).ledger.entries[0].money == 1.0
    Book(tmp_path).add(entry(money=2.0))
    assert [e.money for e in read_ledger(tmp_path).entries] == [1.0, 2.0]


def test_what_is_no_ledger_is_said_to_be_none(tmp_path):
    with pytest.raises(InputError, match="no ledger there"):
        read_ledger(tmp_path)
    for text in ("", "[]", '{"entries": [{"stage": "x"}]}'):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(InputError, match="not a ledger"):
            read_ledger(tmp_path)
    (tmp_path / NAME).write_text(json.dumps({"version": 9}))
    with pytest.raises(InputError, match="version 9"):
        read_ledger(tmp_path)


def test_a_disk_that_refuses_is_named(tmp_path):
    book = Book(tmp_path)
    (tmp_path / f".{NAME}.part").mkdir()
    with pytest.raises(ResourceError, match=r"ledger\.json: the ledger can't be written"):
        book.add(entry())
    assert book.ledger.entries == ()
