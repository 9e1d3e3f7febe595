from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spiritsafe.detect import reference as references
from spiritsafe.drill import onlooker
from spiritsafe.drill.board import Board
from spiritsafe.drill.onlooker import PERSON, Duty, Onlooker
from spiritsafe.drill.run import Drilled
from spiritsafe.store import Store, new_id, open_store
from spiritsafe.store.models import Action, Decision

BEGAN = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'spiritsafe.db'}")


def board() -> Board:
    return Board(target=100, deadline=60, line=2.0)


def decide(store: Store, accounts: list[str], action: Action, *, person: bool) -> Decision:
    return store.decide(
        Decision(
            decision_id=new_id("dec"), time=datetime.now(UTC), subject="ring-1", subject_kind="ring",
            accounts=tuple(accounts), action=action, rule="r", reasons=(), evidence=(), by="policy:1",
            status="pending" if person else "in_force", needs_person=person,
        )
    )  # fmt: skip


def test_the_person_confirms_what_waits_but_not_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store:
        accounts = [store.add_account(name).account_id for name in ("one", "two")]
        shown = board()
        duty = Duty(store, dict(zip(accounts, ("one", "two"), strict=True)), shown, BEGAN)
        decide(store, accounts, "suspend", person=True)
        duty.look()
        assert shown.decisions[0].status == "pending"
        assert duty.stopped() == set()
        monkeypatch.setattr(onlooker, "REVIEW", 0.0)
        duty.look()
        assert shown.decisions[0].status == "in_force"
        assert sorted(shown.decisions[0].accounts) == ["one", "two"]
        assert duty.stopped() == {"one", "two"}
        confirmed = store.decisions()[0].events[-1]
        assert (confirmed.kind, confirmed.by) == ("confirmed", PERSON)


def test_only_a_suspension_stops(store: Store) -> None:
    with store:
        accounts = [store.add_account(name).account_id for name in ("one", "two")]
        duty = Duty(store, dict(zip(accounts, ("one", "two"), strict=True)), board(), BEGAN)
        decide(store, accounts, "withhold", person=False)
        assert duty.stopped() == set()


def test_the_onlooker_sees_what_the_record_shows(drilled: Drilled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onlooker, "EVERY", 0.0)
    data = Path(drilled.data)
    with open_store(f"sqlite:///{data / 'spiritsafe.db'}") as store:
        names = {account.account_id: account.name for account in store.accounts()}
    shown = board()
    looking = Onlooker(data / "record", references.load(data / "reference"), names, shown, 0.01)
    thread = threading.Thread(target=looking.run)
    thread.start()
    try:
        for _ in range(400):
            if any(evidence > 2.0 for _, evidence in shown.rings):
                break
            thread.join(0.05)
    finally:
        looking.close()
        thread.join()
    assert any(evidence > 2.0 for _, evidence in shown.rings)
    assert set(shown.evidence) <= set(names.values())
    assert shown.links["payment"] >= 2
