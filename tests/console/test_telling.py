from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from spiritsafe.console.telling import SHOWN, shown
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.stats.result import Telling
from spiritsafe.store import new_id
from spiritsafe.store.models import Decision


@pytest.fixture
def weighed(house: Any) -> Decision:
    """A decision in a case of its own that rests on three exchanges: one kept, one too long to show, one not kept."""
    decision: Decision = house.throttled
    account = decision.subject
    texts = ["why <b>now</b>?", "x" * 5000, "gone"]
    with SealedLog.open(house.data / "record", pace=0.0) as log:
        for n, text in enumerate(texts):
            one = Exchange(
                exchange_id=f"x{n}", time=decision.time, account_id=account, messages=(Message("user", text),)
            )
            log.append(one).result()
    telling = (
        Telling(account_id=account, share=0.5, exchange_id="x0", time=decision.time, row=0),
        Telling(account_id=account, share=0.3, exchange_id="x1", time=decision.time, row=1),
        Telling(account_id=account, share=0.1, exchange_id="another", time=decision.time, row=2),
    )
    (evidence,) = decision.evidence
    made: Decision = house.store.decide(
        msgspec.structs.replace(
            decision,
            decision_id=new_id("dec"),
            action="withhold",
            evidence=(msgspec.structs.replace(evidence, telling=telling),),
        )
    )
    return made


def test_the_text_is_read_from_the_record_at_its_row(house: Any, weighed: Decision) -> None:
    found = shown(house.data / "record", weighed)
    assert [one.telling.exchange_id for one in found] == ["x0", "x1", "another"]
    assert found[0].text == "why <b>now</b>?"
    assert found[1].text == "x" * SHOWN + "..."
    assert found[2].text is None  # the row holds another exchange
    assert found[0].by == ("elicitation",)


def test_without_a_record_the_decision_is_shown_all_the_same(weighed: Decision, tmp_path: Path) -> None:
    assert [one.text for one in shown(tmp_path / "none", weighed)] == [None, None, None]


def test_the_pages_of_the_decision_and_of_its_case_show_it(house: Any, weighed: Decision, person: httpx.Client) -> None:
    house.store.appeal(weighed.decision_id, "Why?", account_id=weighed.subject)
    held = house.store.decision(weighed.decision_id)
    for path in (f"/decisions/{weighed.decision_id}", f"/cases/{held.case_id}"):
        page = person.get(path).text
        assert "What weighs most" in page
        assert "why &lt;b&gt;now&lt;/b&gt;?" in page
        assert "is not kept" in page
    assert "All its reasons" in page


def test_a_decision_on_no_exchange_shows_none(house: Any, person: httpx.Client) -> None:
    assert "What weighs most" not in person.get(f"/decisions/{house.ring.decision_id}").text
