"""A console on a real store and a real record, served on a port of this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2 as httpx
import pytest
import uvicorn

from spiritsafe.console import app
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.log import SealedLog
from spiritsafe.stats.result import Evidence, Exact, Result
from spiritsafe.store import Store, new_id, open_store
from spiritsafe.store.models import Decision, Limits

TOKEN = "correct horse"


class House:
    """A data folder with a few accounts, a ring that waits for a person, and a sanction under appeal."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.store: Store = open_store(f"sqlite:///{data / 'spiritsafe.db'}")
        self.accounts = [self.store.add_account(name, kind=kind) for name, kind in NAMES]
        for account in self.accounts:
            key, _ = self.store.add_key(account.account_id, name="main", limits=Limits(requests_per_minute=60))
            self.store.add_usage({key.key_id: (len(account.name) * 7, 5000)})
        self.store.add_grant(self.accounts[0].account_id, model="*", purpose="distil a small one", by="Ada")
        members = tuple(account.account_id for account in self.accounts[3:7])
        self.ring = self.decide("ring-7", "suspend", members, person=True)
        self.throttled = self.decide(self.accounts[1].account_id, "throttle", (self.accounts[1].account_id,))
        self.store.appeal(self.throttled.decision_id, "We are <b>a school</b>.", account_id=self.accounts[1].account_id)
        self.case = self.store.cases()[0]

    def decide(self, subject: str, action: str, accounts: tuple[str, ...], *, person: bool = False) -> Decision:
        """Record a decision with one piece of evidence."""
        result = Result(
            name="elicitation",
            version=1,
            subject=subject,
            null="its prompts are phrased as its peers' are",
            statistic=4.2,
            p_value=1e-6,
            log10_e=4.4,
            n=143,
            unit="prompts",
            effect=0.71,
            method=Exact(distribution="binomial"),
            because=("71% of its prompts ask for the reasoning <think>",),
        )
        return self.store.decide(
            Decision(
                decision_id=new_id("dec"),
                time=datetime.now(UTC),
                subject=subject,
                subject_kind="ring" if len(accounts) > 1 else "account",
                accounts=accounts,
                action=action,  # type: ignore[arg-type]
                rule="two-families",
                reasons=("Two families of evidence speak against it.", "No permit covers it."),
                evidence=(Evidence(family="phrased", result=result),),
                by="policy:4f2a",
                status="pending" if person else "in_force",
                needs_person=person,
            )
        )

    def record(self, count: int, *, status: int = 200, log: SealedLog | None = None) -> None:
        """Append exchanges of the first accounts, as they would come in now."""
        writer = log or SealedLog.open(self.data / "record")
        for n in range(count):
            writer.append(
                Exchange(
                    exchange_id=new_id("ex"),
                    time=datetime.now(UTC),
                    account_id=self.accounts[n % 3].account_id,
                    status=status,
                    prompt_tokens=10,
                    completion_tokens=20,
                )
            ).result(10)
        if log is None:
            writer.close()


NAMES = [
    ("Alder Bank", "company"),
    ("Hill School", "university"),
    ("quiet-otter", None),
    *((f"ring-{n}", None) for n in range(4)),
    ("<script>alert(1)</script>", None),
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def site(house: House) -> Iterator[str]:
    """The address of a console that a real server serves."""
    console = app(house.store, house.data, token=TOKEN)
    server = uvicorn.Server(
        uvicorn.Config(
            console, host="127.0.0.1", port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(120)
    console.state.pulse.close()


@pytest.fixture
def guest(site: str) -> Iterator[httpx.Client]:
    """Somebody who is not signed in."""
    with httpx.Client(base_url=site) as client:
        yield client


@pytest.fixture
def person(site: str) -> Iterator[httpx.Client]:
    """Somebody who is: Ada."""
    with httpx.Client(base_url=site) as client:
        answer = client.post("/login", data={"person": "Ada", "token": TOKEN})
        assert answer.status_code == 303
        yield client
