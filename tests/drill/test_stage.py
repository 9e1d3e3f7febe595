from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from spiritsafe.drill import stage
from spiritsafe.drill.scenario import QUICK, RING, scenario
from spiritsafe.errors import ResourceError
from spiritsafe.gateway.settings import Settings
from spiritsafe.store import open_store


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stage.free_port()))


def test_the_gateways_settings_are_ones_it_knows(tmp_path: Path) -> None:
    made = msgspec.convert(stage.settings(tmp_path, 1234, "smollm2", 0.5), Settings, strict=True)
    assert (made.port, made.teacher) == (1234, "smollm2")
    assert made.trust.proxies == ("127.0.0.1/32",)
    assert made.watch.enabled


def test_every_actor_gets_an_account_and_a_key_and_only_hashes_of_cards(tmp_path: Path) -> None:
    play = scenario(1, msgspec.structs.replace(QUICK, honest={"coder": 3}, members=2, corpus=4))
    ids, secrets = stage.cast_into(play, tmp_path)
    with open_store(f"sqlite:///{tmp_path / 'spiritsafe.db'}") as store:
        accounts = {account.account_id: account for account in store.accounts()}
        for actor in play.actors:
            account = accounts[ids[actor.name]]
            assert account.name == actor.name
            assert account.kind is None, "what an account truly is stays outside the store"
            assert actor.payment not in str(account.payment)
            key = store.find_key(secrets[actor.name])
            assert key is not None
            assert key.account_id == account.account_id
    coders = {accounts[ids[a.name]].payment for a in play.actors if a.kind == "coder"}
    members = {accounts[ids[a.name]].payment for a in play.actors if a.kind == RING}
    assert len(coders) == len(members) == 1
    assert coders != members


def test_a_gateway_that_fails_says_its_own_last_words(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    waited: list[float] = []
    with pytest.raises(ResourceError, match="before it was ready") as caught:  # noqa: SIM117
        with stage.raised(folder, tmp_path / "data", "no-such-teacher", waited.append):
            raise AssertionError("it never starts")
    assert str(folder / "gateway.log") in str(caught.value)
    assert (folder / "gateway.log").read_text().strip()


def test_nothing_of_the_session_survives(tmp_path: Path) -> None:
    """A child that would outlive its parent is ended with it."""
    code = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print(p.pid, flush=True); p.wait()"  # noqa: E501
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    stage._end(process)
    process.stdout.close()
    assert process.poll() is not None
    assert _gone(child)


def _gone(pid: int) -> bool:
    """Whether a killed process ends; whoever adopted it may leave it a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(500):
        try:
            if stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False
