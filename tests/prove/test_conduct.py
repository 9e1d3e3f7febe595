from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.prove.account import Lead
from spiritsafe.prove.conduct import committed, conduct
from spiritsafe.prove.plan import Plan


def test_a_case_is_run_and_everything_said_is_kept(affair, tmp_path: Path) -> None:
    done = conduct(affair.case(), affair.folder, "guilty", tmp_path / "work", opens=affair.opens)
    assert done.results.conclusion.verdict == "rejects"
    assert [(m.role, m.identity.name) for m in done.results.models] == [("suspect", "guilty"), ("control", "bystander")]
    expected = {"plan.json", "results.json", "code.json", "report.html", "report.pdf", "inputs/0", "secrets/0"}
    assert done.members.keys() == expected | {"said/0/0", "said/1/0", "said/reference/0"}
    assert done.results.plan == done.plan.digest
    assert done.plan.made <= done.results.asked


def test_a_second_run_asks_nobody_and_gives_the_same(affair, tmp_path: Path) -> None:
    first = conduct(affair.case(), affair.folder, "innocent", tmp_path / "work", opens=affair.opens)

    class Silent:
        def __init__(self, inner: Any) -> None:
            self.identity, self.access, self.tokenizer = inner.identity, inner.access, None
            self.chunk, self.at_once = 8, 1

        def close(self) -> None:
            pass

    again = conduct(
        affair.case(), affair.folder, "innocent", tmp_path / "work", opens=lambda spec: Silent(affair.opens(spec))
    )
    assert again == first


def test_one_that_dies_half_way_is_gone_on_with(affair, tmp_path: Path) -> None:
    class Dying:
        def __init__(self, inner: Any) -> None:
            self._inner = inner
            self.identity, self.access, self.tokenizer = inner.identity, inner.access, None
            self.chunk, self.at_once, self.left = 10, 1, 5

        def score(self, pairs: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise ResourceError("it hung up", remedy="Call again.")
            return self._inner.score(pairs)

        def close(self) -> None:
            pass

    work = tmp_path / "work"
    with pytest.raises(ResourceError, match="stopped answering after 50 of 160"):
        conduct(affair.case(), affair.folder, "guilty", work, opens=lambda spec: Dying(affair.opens(spec)))
    whole = conduct(affair.case(), affair.folder, "guilty", work, opens=affair.opens)
    assert whole.results.conclusion.verdict == "rejects"


def test_a_plan_is_not_changed_after_the_fact(affair, tmp_path: Path) -> None:
    plan = committed(affair.case(), affair.folder, tmp_path / "work")
    assert isinstance(plan, Plan)
    assert committed(affair.case(), affair.folder, tmp_path / "work") == plan
    with pytest.raises(InputError, match="not what was committed to"):
        committed(affair.case(alpha=0.05), affair.folder, tmp_path / "work")


def test_leads_are_kept_apart(affair, tmp_path: Path) -> None:
    lead = Lead(name="style", words="length of sentences", score=0.9, controls=(0.1,))
    done = conduct(
        affair.case(), affair.folder, "innocent", tmp_path / "work", opens=affair.opens, leads=lambda s, c: [lead]
    )
    assert done.results.leads == (lead,)
    assert done.results.conclusion.verdict == "does-not-reject"
    assert b"Leads, which prove nothing" in done.members["report.html"]
