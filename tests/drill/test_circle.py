from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from spiritsafe.drill import circle
from spiritsafe.drill.scenario import QUICK
from spiritsafe.errors import InputError
from spiritsafe.protect.twins import coin, commitment_row, epoch_key, epoch_of, exchanges_of
from spiritsafe.prove.verify_bundle import verify
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog
from spiritsafe.store.models import Decision
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Options, Sampling

SIZE = msgspec.structs.replace(QUICK, layers=1, epochs=1.0, twinned=1.0)
MEMBERS = ("acc-1", "acc-2")


def suspended(*accounts: str) -> Decision:
    return Decision(
        decision_id="dec-1", time=datetime.now(UTC), subject="ring-1", subject_kind="ring", accounts=accounts,
        action="suspend", rule="two families", reasons=("both speak against it",), evidence=(), by="policy:1",
        status="in_force",
    )  # fmt: skip


@pytest.fixture
def served(tmp_path: Path, teacher: str) -> list[Exchange]:
    """What two accounts and an honest one were served, and the twins of it in the gateway's own form."""
    folder, began = tmp_path / "data" / "twins", datetime.now(UTC) - timedelta(minutes=5)
    epoch = epoch_of(began)
    key = epoch_key(secret(folder / "keys" / "twins.key"), epoch)
    asked = [f"name {n} kinds of still" for n in range(66)]
    opened = open_teacher(teacher, Options())
    answers = opened.generate(asked, [Sampling(n=2, max_tokens=8, seed=n) for n in range(66)])
    opened.close()
    found = []
    with SealedLog.open(folder / "record") as log:
        log.append(commitment_row(key, epoch, began)).result()
        for number, (prompt, both) in enumerate(zip(asked, answers, strict=True)):
            texts = (both[0].text, both[1].text)
            exchange = Exchange(
                exchange_id=f"e{number}",
                time=began + timedelta(seconds=1 + number),
                account_id=(*MEMBERS, "acc-honest")[number % 3],
                messages=(Message("user", prompt),),
                completion=texts[coin(key, f"e{number}")],
                params={"max_tokens": 8},
                status=200,
            )
            found.append(exchange)
            for row in exchanges_of(exchange, texts, (8, 8)):
                log.append(row).result()
    return found


def test_the_case_is_about_those_who_were_stopped_and_its_bundle_verifies(
    tmp_path: Path, teacher: str, served: list[Exchange]
) -> None:
    told: list[str] = []
    proof = circle.close(
        tmp_path / "proof", tmp_path / "data", teacher, SIZE, served, [suspended(*MEMBERS)], told.append
    )
    assert len(told) == 4
    assert proof.pairs == 44
    assert proof.problems == ()
    assert proof.p_value is not None
    assert proof.innocent_p_value is not None
    # A model of two layers with random weights learns next to nothing in one epoch: no conviction is expected, and
    # none of the innocent one may come of it; its p-value hangs on coins that fall anew each time.
    assert proof.innocent_p_value > 1e-6
    assert verify(Path(proof.bundle)).finding == proof.verdict


def test_where_nobody_was_stopped_there_is_nothing_to_prove(
    tmp_path: Path, teacher: str, served: list[Exchange]
) -> None:
    with pytest.raises(InputError, match="nobody who was stopped"):
        circle.close(tmp_path / "proof", tmp_path / "data", teacher, SIZE, served, [], lambda step: None)
    with pytest.raises(InputError, match="no twins were drawn for them"):
        circle._proved(tmp_path, tmp_path / "data", teacher, tmp_path, tmp_path, frozenset({"acc-nobody"}))
