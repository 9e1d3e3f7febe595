from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.types import Options, Outcome
from spiritsafe.prove.plan import Plan, make_plan
from spiritsafe.prove.protocol import LIMITS, Cell, conclude, decoy, differs, run
from spiritsafe.stats.result import Exact, Result

NOW = datetime(2026, 11, 20, tzinfo=UTC)
KEY = bytes(range(32))


def result(p: float, log10_e: float = 0.0, subject: str = "model A") -> Result:
    return Result(
        name="twins", version=1, subject=subject, null="n", statistic=1.0, p_value=p, log10_e=log10_e, n=50,
        unit="pairs", effect=0.5, method=Exact("sign flips"),
    )  # fmt: skip


def cell(p: float | None, model: int = 0, key: int = 0, part: int = 0, **more: Any) -> Cell:
    main = None if p is None else result(p, **more)
    return Cell(model=model, part=part, key=key, outcome=Outcome(main=main, words="" if main else "8 more are needed"))


@pytest.fixture
def plan(affair) -> Plan:
    return make_plan(affair.case(), affair.folder, NOW)


def ran(affair, plan: Plan, who: str) -> tuple[Cell, ...]:
    instrument = open_instrument("twins", affair.folder / "pairs.jsonl", Options(epoch=affair.epoch))
    models = [affair.models[who], affair.models["bystander"]]
    return run(plan, [instrument], [KEY], lambda model, part: (models[model], affair.models["teacher"]))


def test_the_guilty_is_convicted_and_the_innocent_cleared(affair, plan: Plan) -> None:
    guilty = conclude(plan, ran(affair, plan, "guilty"))
    assert guilty.verdict == "rejects"
    assert guilty.lines[0].adjusted < 1e-6
    assert set(guilty.named) == {"t0", "t1", "t2", "t3"}
    innocent = conclude(plan, ran(affair, plan, "innocent"))
    assert innocent.verdict == "does-not-reject"
    assert innocent.named == ()


def test_every_model_is_judged_under_every_key_and_names_are_hidden(affair, plan: Plan) -> None:
    cells = ran(affair, plan, "guilty")
    assert [(c.model, c.part, c.key) for c in cells] == [(m, 0, k) for m in (0, 1) for k in range(4)]
    subjects = {c.outcome.main.subject for c in cells if c.outcome.main}
    assert subjects == {"model A", "model B"}
    assert all(c.outcome.main.seconds == 0.0 for c in cells if c.outcome.main)
    assert ran(affair, plan, "guilty") == cells


def test_decoys_are_keys_that_anybody_can_make_again(plan: Plan) -> None:
    keys = {decoy(plan, 0, key) for key in range(1, 9)} | {KEY}
    assert len(keys) == 9
    assert decoy(plan, 0, 1) == decoy(plan, 0, 1)


def test_a_convicted_control_or_decoy_means_that_something_else_speaks(plan: Plan) -> None:
    real = cell(1e-9)
    assert conclude(plan, [real, cell(0.3, model=1), cell(0.2, key=1)]).verdict == "rejects"
    control = conclude(plan, [real, cell(1e-5, model=1)])
    assert control.verdict == "undecided"
    assert "convicts control 1 too" in control.reasons[0]
    under = conclude(plan, [real, cell(1e-5, key=2)])
    assert under.verdict == "undecided"
    assert "under decoy 2" in under.reasons[0]
    assert conclude(plan, [real, cell(1e-5, model=1, key=2)]).verdict == "rejects"


def test_too_little_is_undecided_and_says_how_much_more(plan: Plan) -> None:
    found = conclude(plan, [cell(None)])
    assert (found.verdict, found.reasons) == ("undecided", ("twins: 8 more are needed",))


def test_several_tests_are_corrected_for_their_number(plan: Plan) -> None:
    two = msgspec.structs.replace(plan, parts=plan.parts * 2)
    assert conclude(plan, [cell(0.008)]).verdict == "rejects"
    assert conclude(two, [cell(0.008), cell(0.5, part=1)]).verdict == "does-not-reject"
    assert conclude(two, [cell(0.004), cell(0.5, part=1)]).lines[0].adjusted == pytest.approx(0.008)


def test_at_any_time_the_e_value_decides(plan: Plan) -> None:
    anytime = msgspec.structs.replace(plan, stopping="anytime")
    assert conclude(anytime, [cell(1e-9, log10_e=1.9)]).verdict == "does-not-reject"
    assert conclude(anytime, [cell(0.9, log10_e=2.1)]).verdict == "rejects"


def test_the_chance_of_convicting_an_innocent_is_the_level(affair, trial) -> None:
    import numpy as np

    plan = make_plan(affair.case(controls=(), decoys=0, alpha=0.05), affair.folder, NOW)
    instrument = open_instrument("twins", affair.folder / "pairs.jsonl", Options(epoch=affair.epoch))
    measured = instrument.measure(affair.models["innocent"], affair.models["teacher"])

    class Fixed:
        def measure(self, suspect: Any, reference: Any) -> Any:
            return measured

        def judge(self, found: Any, secret: bytes, subject: str) -> Outcome:
            return instrument.judge(found, secret, subject)

    def ask(model: int, part: int) -> Any:
        return None, None

    rng = np.random.default_rng(4)
    verdicts = [conclude(plan, run(plan, [Fixed()], [rng.bytes(32)], ask)).verdict for _ in range(100)]  # type: ignore[list-item]
    assert verdicts.count("rejects") <= 13


def test_what_it_does_not_mean_is_said() -> None:
    text = " ".join(LIMITS)
    for word in ("exposure", "Spoofing", "Public leakage", "acquittal", "\n"):
        assert (word in text) == (word != "\n")


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists, max_leaves=8))
def test_nothing_differs_from_itself(value: Any) -> None:
    assert not differs(value, value)


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (1.0, 1.0 + 1e-9, False),
        (1.0, 1.001, True),
        (1e-40, 1.00000001e-40, False),
        (1e-40, 1e-41, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ([1], [1, 2], True),
        (True, 1, False),
        ("a", "b", True),
        (1, "1", True),
    ],
)
def test_rounding_is_no_difference_and_anything_else_is(one: Any, two: Any, expected: bool) -> None:
    assert differs(one, two) is expected
