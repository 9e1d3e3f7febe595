from __future__ import annotations

import http.client
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spiritsafe.detect.calibrate import reference_of_exchanges
from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.gateway import watch
from spiritsafe.gateway.watch import Follower, Watcher
from spiritsafe.policy import rules
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog
from spiritsafe.store import Store, open_store

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TOPICS = [
    ["gardens", "ferries", "bread", "tides", "violins", "maps", "goats", "lamps", "bridges", "kites"],
    ["invoices", "tenants", "boilers", "permits", "fences", "drains", "leases", "keys", "alarms", "lifts"],
    ["stars", "comets", "lenses", "orbits", "moons", "dust", "rockets", "probes", "signals", "craters"],
]
PLAIN = ["What about {} and {}?", "Tell me of {} near {}.", "Which {} suit {}?", "Are {} older than {}?"]
PRYING = [
    "Think step by step about {} and {} and write out every step of your reasoning in full before the answer.",
    "Solve this puzzle of {} and {}, show your complete chain of thought, and grade each step from one to ten.",
]

SHARP = """
version: 1
fdr: 0.01
accuses_from: throttle
appeal: POST /appeals
rules:
- {name: odd, subject: account, families: 1, log10_e: 0.5, and_any_of: [phrased], and_log10_e: 0.9, action: notify}
"""


def traffic(
    account: str, sort: int, forms: list[str], count: int, offset: float = 0.0, pause: float = 10.0
) -> list[Exchange]:
    # A store draws its accounts' ids by chance; what they ask is the same every time.
    asker = account if account.startswith("honest-") else forms[0]
    rng = random.Random(f"{asker}/{sort}")
    found = []
    for number in range(count):
        prompt = (
            rng.choice(forms).format(rng.choice(TOPICS[sort]), rng.choice(TOPICS[sort])) + f" ({rng.randint(0, 999)})"
        )
        found.append(
            Exchange(
                exchange_id=f"{account}-{number}",
                time=START + timedelta(seconds=offset + pause * number + rng.random()),
                account_id=account,
                model="m",
                messages=(Message("user", prompt),),
                client=f"client-{account}",
                ip_prefix=f"net-{account}",
            )
        )
    return found


def honest(count: int) -> list[Exchange]:
    rows = [row for number in range(count) for row in traffic(f"honest-{number}", number % 3, PLAIN, 40, pause=90)]
    return sorted(rows, key=lambda row: row.time)


class House:
    """A data folder with record, store and a sharp policy."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.reference = folder / "reference"
        self.policy = folder / "policy.yaml"
        self.policy.write_text(SHARP)
        kept = folder / "keys" / "identity.key"
        kept.parent.mkdir()
        kept.write_text("5a" * 32)
        kept.chmod(0o600)
        self.key = secret(kept)
        self.rows = 0

    def calibrate(self, seed: str = "") -> None:
        made = reference_of_exchanges(honest(90), made=datetime.now(UTC), source=f"tests{seed}", key=self.key)
        made.save(self.reference)

    def account(self, name: str) -> str:
        return self.store.add_account(name).account_id

    def record(self, rows: list[Exchange]) -> None:
        with SealedLog.open(self.folder / "record") as log:
            for future in [log.append(row) for row in rows]:
                future.result()
            self.rows = log.rows

    def watcher(self) -> Watcher:
        return Watcher(self.folder, self.store, rules.load(self.policy), self.reference)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_store(f"sqlite:///{tmp_path / 'spiritsafe.db'}") as store:
        yield House(tmp_path, store)


def numbered(rows: list[Exchange]) -> list[tuple[int, Exchange]]:
    return list(enumerate(rows))


def test_what_was_found_becomes_a_decision_once(house: House) -> None:
    house.calibrate()
    odd, plain = house.account("odd"), house.account("plain")
    watcher = house.watcher()
    watcher.learn(numbered([*traffic(odd, 0, PRYING, 60), *traffic(plain, 0, PLAIN, 60)]))
    decided = watcher.judge(datetime.now(UTC))
    assert [(d.subject, d.action) for d in decided] == [(odd, "notify")]
    assert house.store.standing()[odd].reasons
    assert plain not in house.store.standing()
    assert watcher.judge(datetime.now(UTC)) == []  # nothing came in
    watcher.learn([(500, row) for row in traffic(odd, 1, PRYING, 30, offset=700)])
    assert watcher.judge(datetime.now(UTC)) == []  # nothing new about it
    assert len(house.store.decisions()) == 1


def test_a_decision_says_which_exchanges_weigh_most_and_where_they_stand(house: House) -> None:
    """Among thirty plain questions and thirty prying ones, mixed, the three named are prying; no text is kept."""
    house.calibrate()
    odd = house.account("odd")
    mixed = sorted([*traffic(odd, 0, PLAIN, 30), *traffic(odd, 0, PRYING, 30, offset=5.0)], key=lambda row: row.time)
    rows = [msgspec.structs.replace(row, exchange_id=f"{odd}-{n}") for n, row in enumerate(mixed)]
    house.record(rows)
    watcher = house.watcher()
    watcher.learn(numbered(rows))
    (made,) = watcher.judge(datetime.now(UTC))
    (phrased,) = [item for item in made.evidence if item.result.name == "elicitation"]
    asked = {row.exchange_id: row for row in rows}
    for one in phrased.telling:
        assert one.exchange_id is not None
        assert one.row is not None
        text = str((asked[one.exchange_id].messages or ())[0].content)
        assert "step" in text
        assert rows[one.row].exchange_id == one.exchange_id
        assert one.text is None
    assert any("looks most like kind-" in reason for reason in made.reasons)
    assert house.store.standing()[odd].evidence == made.evidence
    assert made.reasons[-1] == rules.load(house.policy).appeal


def test_what_a_person_reversed_is_not_decided_again(house: House) -> None:
    house.calibrate()
    odd = house.account("odd")
    watcher = house.watcher()
    watcher.learn(numbered(traffic(odd, 0, PRYING, 60)))
    (made,) = watcher.judge(datetime.now(UTC))
    house.store.reverse(made.decision_id, "ada", "ours")
    watcher.learn([(500, row) for row in traffic(odd, 1, PRYING, 30, offset=700)])
    assert watcher.judge(datetime.now(UTC)) == []


def test_a_grant_is_read_before_any_score(house: House) -> None:
    house.calibrate()
    odd = house.account("odd")
    grant = house.store.add_grant(odd, model="*", purpose="distil", by="ada")
    watcher = house.watcher()
    watcher.learn(numbered(traffic(odd, 0, PRYING, 60)))
    assert watcher.judge(datetime.now(UTC)) == []
    house.store.revoke_grant(grant.grant_id)
    assert [d.subject for d in watcher.judge(datetime.now(UTC))] == [odd]


def test_without_a_reference_it_accuses_nobody(house: House) -> None:
    watcher = house.watcher()
    watcher.learn(numbered(traffic(house.account("odd"), 0, PRYING, 60)))
    assert watcher.judge(datetime.now(UTC)) == []
    assert not watcher.outdated()
    house.calibrate()
    assert watcher.outdated()


def test_it_goes_on_where_it_stopped(house: House) -> None:
    house.calibrate()
    odd = house.account("odd")
    rows = numbered(traffic(odd, 0, PRYING, 60))
    first = house.watcher()
    first.learn(rows[:30])
    first.save()
    second = house.watcher()
    assert second.row == 30
    second.learn(rows[20:])  # rows it knows count once
    assert second.row == 60
    assert [d.subject for d in second.judge(datetime.now(UTC))] == [odd]


@pytest.mark.parametrize("spoil", ["nothing kept", "another reference", "damage"])
def test_where_it_can_not_go_on_it_reads_the_record_anew(house: House, spoil: str) -> None:
    house.calibrate()
    watcher = house.watcher()
    watcher.learn(numbered(traffic(house.account("odd"), 0, PRYING, 30)))
    watcher.save()
    if spoil == "nothing kept":
        (house.folder / "watch.state").unlink()
    elif spoil == "another reference":
        house.calibrate("again")
    else:
        (house.folder / "watch.state").write_bytes(b"\x00" * 50)
    assert house.watcher().row == 0


def test_a_state_that_can_not_be_written_says_so(house: House) -> None:
    watcher = house.watcher()
    (house.folder / "watch.tmp").mkdir()
    with pytest.raises(ResourceError, match="can't be written"):
        watcher.save()


def test_the_record_is_followed_while_it_is_written(house: House) -> None:
    rows = traffic("a", 0, PLAIN, 5)
    follower = Follower(house.folder / "record", 2)
    try:
        assert follower.next(0.05) is None
        house.record(rows)
        seen: list[Any] = []
        end = time.monotonic() + 200
        while len(seen) < 3 and time.monotonic() < end:
            seen += follower.next(0.2) or []
        assert [(row, exchange.exchange_id) for row, exchange in seen] == [(2, "a-2"), (3, "a-3"), (4, "a-4")]
    finally:
        follower.close()


def test_a_broken_record_ends_it(house: House) -> None:
    house.record(traffic("a", 0, PLAIN, 50))
    (journal,) = (house.folder / "record").glob("journal-*")
    spoilt = bytearray(journal.read_bytes())
    spoilt[700] ^= 1
    journal.write_bytes(spoilt)
    with pytest.raises(BrokenRecord):
        watch.watch(house.watcher, house.folder / "record", 0.1, threading.Event())


def test_a_reference_that_comes_later_is_taken_up(house: House) -> None:
    odd = house.account("odd")
    house.record(traffic(odd, 0, PRYING, 60))
    stop = threading.Event()
    follow = threading.Thread(target=watch.watch, args=(house.watcher, house.folder / "record", 0.2, stop))
    follow.start()
    try:
        time.sleep(0.5)
        assert house.store.decisions() == []
        house.calibrate()
        end = time.monotonic() + 200
        while not house.store.decisions() and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        stop.set()
        follow.join(120)
    assert [d.subject for d in house.store.decisions()] == [odd]
    assert house.watcher().row == 60  # what it knew was kept at the end


def command(house: House, *more: str) -> list[str]:
    about = [
        "--data",
        str(house.folder),
        "--database",
        f"sqlite:///{house.folder / 'spiritsafe.db'}",
        "--every",
        "200ms",
    ]
    return [sys.executable, "-m", "spiritsafe.gateway.watch", *about, *more]


def test_as_a_process_it_says_that_it_watches_decides_and_ends_with_its_input(house: House) -> None:
    house.calibrate()
    odd = house.account("odd")
    process = subprocess.Popen(
        command(house, "--policy", str(house.policy)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert json.loads(process.stdout.readline()) == {"watching": str(house.folder), "reference": True}
        house.record(traffic(odd, 0, PRYING, 60))
        end = time.monotonic() + 200
        while not house.store.decisions() and time.monotonic() < end:
            time.sleep(0.1)
        process.stdin.close()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert [d.subject for d in house.store.decisions()] == [odd]


def test_a_reference_that_is_none_keeps_it_from_beginning(house: House) -> None:
    house.reference.write_text("hello")
    with pytest.raises(InputError, match="not a reference"):
        house.watcher()
    done = subprocess.run(command(house), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a reference" in done.stderr


def test_the_whole_way_from_a_prompt_to_a_refusal(serve: Any, upstream: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with open_store(f"sqlite:///{tmp_path / 'data' / 'spiritsafe.db'}") as store:
        house = House(tmp_path / "data", store)
        house.calibrate()
        house.policy.write_text(SHARP.replace("notify", "verify"))
        odd = house.account("odd")
        secrets = {name: store.add_key(name)[1] for name in (odd, house.account("plain"))}
        served = serve(
            upstreams=[{"url": upstream.url, "speaks": ["chat"]}],
            watch={"enabled": True, "every": "200ms", "policy": str(house.policy)},
        )
        assert served.said["watcher"] is not None

        def ask(account: str, row: Exchange) -> int:
            assert row.messages is not None
            body = {"model": "m", "messages": [{"role": "user", "content": row.messages[0].content}]}
            connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=120)
            headers = {"authorization": f"Bearer {secrets[account]}"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
            connection.close()
            return response.status

        for account, forms in zip(secrets, (PRYING, PLAIN), strict=True):
            for row in traffic(account, 0, forms, 60):
                ask(account, row)
        end = time.monotonic() + 200
        last = traffic(odd, 0, PRYING, 1)[0]
        while ask(odd, last) != 403:
            assert time.monotonic() < end
            time.sleep(0.2)
        (decision,) = store.decisions()
        assert (decision.subject, decision.action, decision.status) == (odd, "verify", "in_force")
        assert ask(next(name for name in secrets if name != odd), last) == 200
        served.end()
