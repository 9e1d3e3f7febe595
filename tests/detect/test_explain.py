"""Of what a scan found the exchanges are named that weigh most, and the kind it looks most alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import numpy as np
import polars as pl
import pytest

from spiritsafe import settings
from spiritsafe.detect import explain as explaining
from spiritsafe.detect import kinds
from spiritsafe.detect.account.elicitation_train import PHRASES, Phrases, expand
from spiritsafe.detect.again import from_log
from spiritsafe.detect.calibrate import reference_of_frame
from spiritsafe.detect.explain import Explained, explain, told
from spiritsafe.detect.log import Log, open_log
from spiritsafe.detect.scan import Scanned, scan
from spiritsafe.detect.types import Finding
from spiritsafe.stats.result import Evidence, Exact, Result, Telling
from spiritsafe.store.models import Decision

NOW = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Eighty honest tenants of four kinds, sixty exchanges each; in those of ``odd``, who asks as a support desk is
    asked, numbers 13, 31 and 44 are worded to elicit.
    """
    phrases = settings.load(PHRASES, Phrases)
    rng = Random(11)
    sorts = ("support", "agent", "code_question", "small_talk")
    rows = []
    for i in range(81):
        for n in range(60):
            elicits = i == 80 and n in (13, 31, 44)
            template = rng.choice(phrases.elicit["record"]) if elicits else f"{{{sorts[i % 4]}}} {{noun}} {{adjective}}"
            rows.append(
                {
                    "account_id": "odd" if i == 80 else f"honest-{i:02d}",
                    "time": NOW.replace(tzinfo=None) + timedelta(minutes=n * 81 + i),
                    "prompt": f"{expand(template, phrases.rules, rng)} ({n})",
                    "payment": f"card-{i}",
                    "exchange_id": f"e{i}-{n}",
                }
            )
    path = tmp_path_factory.mktemp("planted") / "log.parquet"
    pl.DataFrame(rows).sort("time").write_parquet(path)
    return open_log([str(path)])


def explained(log: Log, found: Scanned, findings: list[Finding]) -> dict[str, Explained]:
    watch = found.watch
    return explain(watch, findings, lambda names: from_log(log, names, watch.parts, each=500, grants=()))


def evidence(name: str, log10_e: float = 2.0, family: str = "phrased") -> Evidence:
    result = Result(
        name=name,
        version=1,
        subject="odd",
        null="none",
        statistic=1.0,
        p_value=0.01,
        log10_e=log10_e,
        n=60,
        unit="prompts",
        effect=0.05,
        method=Exact(distribution="binomial"),
    )
    return Evidence(family=family, result=result)


def finding(*items: Evidence, accounts: tuple[str, ...] = ("odd",)) -> Finding:
    kind = "account" if len(accounts) == 1 else "ring"
    return Finding(subject="odd", subject_kind=kind, accounts=accounts, accused=accounts, evidence=items)


@pytest.mark.parametrize("known", [False, True])
def test_the_three_that_were_planted_are_named_and_the_nearest_kind_is_right(
    planted: Log, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "ACCOUNTS_EACH", 20)
    frame = pl.read_parquet(planted.sources[0].path).filter(pl.col("account_id") != "odd")
    reference = reference_of_frame(frame, made=NOW, source="x") if known else None
    found = scan(planted, reference=reference)
    said = explained(planted, found, [finding(evidence("elicitation"), evidence("coverage", -0.5, "asked"))])["odd"]
    first, second = said.evidence
    assert {one.exchange_id for one in first.telling} == {"e80-13", "e80-31", "e80-44"}
    assert all(one.account_id == "odd" and one.text and one.time for one in first.telling)
    assert sum(one.share for one in first.telling) > 0.5
    assert second.telling == ()  # it speaks for the account
    assert said.alike is not None
    if not known:
        # Support desks are those that ``odd`` asks like.
        assert said.alike.example is not None
        assert int(said.alike.example.removeprefix("honest-")) % 4 == 0
        assert said.alike.accounts == 20
    assert f"{said.alike.distance:.2f}" in said.because[0]
    assert "last 500 exchanges" in said.because[-1]


def test_a_rings_exchanges_are_of_its_accused_members(planted: Log) -> None:
    found = scan(planted)
    members = ("honest-04", "odd")
    said = explained(planted, found, [finding(evidence("elicitation"), accounts=members)])["odd"]
    telling = said.evidence[0].telling
    assert telling[0].account_id == "odd"
    assert telling[0].exchange_id in {"e80-13", "e80-31", "e80-44"}
    assert len({one.account_id for one in telling}) == len(telling)


def test_no_more_is_read_than_the_limits_say(planted: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    found = scan(planted)
    monkeypatch.setattr(explaining, "MOST_MEMBERS", 3)
    monkeypatch.setattr(explaining, "MOST_ACCOUNTS", 3)
    many = tuple(f"honest-{i:02d}" for i in range(10))
    ring = msgspec.structs.replace(finding(evidence("elicitation", 5.0), accounts=many), subject="ring")
    asked: list[list[str]] = []

    def read(names: list[str]) -> object:
        asked.append(names)
        return from_log(planted, names, found.watch.parts, each=500, grants=())

    said = explain(found.watch, [finding(evidence("elicitation")), ring], read)  # type: ignore[arg-type]
    assert asked == [["honest-00", "honest-04", "honest-09"]]
    assert "3 of its 10 accounts" in said["ring"].because[-1]
    assert "not read again" in said["odd"].because[-1]
    assert said["odd"].evidence[0].telling == ()


def test_nothing_found_reads_nothing(planted: Log) -> None:
    found = scan(planted)

    def read(names: object) -> object:
        raise AssertionError

    assert explain(found.watch, [], read) == {}  # type: ignore[arg-type]


def test_a_decision_keeps_its_last_reason_and_gains_what_explains_it() -> None:
    held = Decision(
        decision_id="d",
        time=NOW,
        subject="odd",
        subject_kind="account",
        accounts=("odd",),
        action="notify",
        rule="r",
        reasons=("why", "how to object"),
        evidence=(evidence("elicitation"),),
        by="x",
        status="in_force",
    )
    weighty = msgspec.structs.replace(held.evidence[0], telling=(Telling(account_id="odd", share=1.0),))
    made = Explained(evidence=(weighty,), alike=None, because=("looks like kind-1",))
    assert told(held, {"odd": made}).reasons == ("why", "looks like kind-1", "how to object")
    assert told(held, {"odd": made}).evidence == (weighty,)
    assert told(held, {}) == held


def test_the_same_log_is_explained_in_the_same_words(planted: Log) -> None:
    found = scan(planted)
    once, again = (explained(planted, found, [finding(evidence("population"))]) for _ in range(2))
    assert once == again
    assert np.isfinite([one.share for one in once["odd"].evidence[0].telling]).all()
