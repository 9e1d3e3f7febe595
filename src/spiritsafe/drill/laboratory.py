"""The lawful half of the affair: a laboratory distils the same model through the same gateway, under a grant.

It asks for what a harvest asks for, as fast as it may, and openly. The provider has signed that it may, the gateway
knows of it, and what it leaves with is a student with its lineage. It runs ``spiritsafe distill`` as anyone would.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import yaml

from spiritsafe.distill.recipe import (
    Ceiling,
    Collect,
    Curate,
    Evaluate,
    Prompts,
    Prune,
    Recipe,
    Sampling,
    Seal,
    Student,
    Teacher,
    Train,
)
from spiritsafe.distill.terms.grant import Grant, Scope, seal_grant
from spiritsafe.distill.verify_student import verify_student
from spiritsafe.drill import account
from spiritsafe.drill.stage import failed
from spiritsafe.record.identity import open_identity
from spiritsafe.record.keys import Signer
from spiritsafe.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spiritsafe.drill.scenario import Size
    from spiritsafe.record.exchange import Exchange
    from spiritsafe.store.models import Decision

NAME = "laboratory"
PROVIDER = "the drill's provider"
PURPOSE = "distil"
MARGIN = 2.0
"""The grant's quota over the prompts to be asked: an answer that failed may be asked again."""


class Laboratory(msgspec.Struct, frozen=True):
    """A tenant with a grant: its account, its key, and the folder that it works in."""

    account_id: str
    secret: str
    folder: Path

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder / "run"


def enrol(data: Path, folder: Path, size: Size) -> Laboratory:
    """Open its account and enter its grant at the gateway, as an operator would."""
    folder.mkdir()
    with open_store(f"sqlite:///{data.absolute() / 'spiritsafe.db'}") as store:
        found = store.add_account(NAME, payment=open_identity(data).of("payment", "card-laboratory"))
        _, secret = store.add_key(found.account_id, name="drill")
        quota = round(MARGIN * size.lessons)
        store.add_grant(found.account_id, model="*", purpose=PURPOSE, by=PROVIDER, quota_requests=quota)
    return Laboratory(found.account_id, secret, folder)


def write_recipe(lab: Laboratory, url: str, model: str, weights: str, size: Size, seed: int) -> Path:
    """Its recipe, and the provider's signed grant that the recipe names; returns the recipe's path."""
    signer, now = Signer(os.urandom(32)), datetime.now(UTC)
    grant = Grant(
        grant_id="drill",
        issuer=PROVIDER,
        licensee=NAME,
        teachers=(model,),
        purposes=("student",),
        issued=now,
        not_before=now - timedelta(minutes=1),
        expires=now + timedelta(days=1),
        scope=Scope(max_requests=round(MARGIN * size.lessons)),
    )
    (lab.folder / "grant.json").write_bytes(seal_grant(grant, signer))
    (lab.folder / "provider.pub").write_text(signer.public.text, encoding="ascii")
    recipe = Recipe(
        purpose="student",
        teacher=Teacher(
            source=f"openai:{url}/v1#{model}",
            weights=weights,
            terms=model,
            grant="grant.json",
            trust=("provider.pub",),
        ),
        prompts=(Prompts(generate="general", count=size.lessons, seed=seed),),
        student=Student(prune=Prune(layers=size.layers)),
        collect=Collect(
            concurrency=4,
            sampling=Sampling(temperature=0.7, max_tokens=max(8, round(96 * size.brevity))),
            ceiling=Ceiling(hours=size.schooling / 20),
        ),
        curate=Curate(complete=False),
        train=Train(loss="sft", minutes=size.schooling, epochs=8, max_length=192),
        evaluate=Evaluate(held_out=0.2, limit=8, max_tokens=16, draws=500),
        seal=Seal(name=NAME),
    )
    path = lab.folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(msgspec.to_builtins(recipe), sort_keys=False), encoding="utf-8")
    return path


def collect(lab: Laboratory, recipe: Path) -> None:
    """Ask the teacher, through the gateway. Raises ``ResourceError`` with the last words of what failed."""
    _distill(lab, recipe, "collect")


def graduate(lab: Laboratory, recipe: Path) -> None:
    """Train on what was collected, measure and seal. The gateway need not run any more."""
    _distill(lab, recipe, "seal")


def _distill(lab: Laboratory, recipe: Path, until: str) -> None:
    log = lab.folder / "distill.log"
    command = [sys.executable, "-c", "from spiritsafe.cli import main; main()", "distill", str(recipe)]
    command += ["--out", str(lab.run), "--until", until, "--resume"]
    environment = {**os.environ, "SPIRITSAFE_TEACHER_KEY": lab.secret}
    with log.open("ab") as said:
        done = subprocess.run(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=environment, check=False)
    if done.returncode:
        raise failed(f"the laboratory's run ended with {done.returncode}", log)


def lesson(lab: Laboratory, exchanges: Iterable[Exchange], decisions: Iterable[Decision]) -> account.Lesson:
    """Hold what the record, the store and the student's own lineage say."""
    from spiritsafe.distill.steps.evaluate import read_evaluation  # noqa: PLC0415 - loads torch

    mine = [exchange for exchange in exchanges if exchange.account_id == lab.account_id]
    granted = sum(account.result(e.status) == "served" and e.grant_id is not None for e in mine)
    evaluation = read_evaluation(lab.run / "evaluate")
    kept = next(iter(evaluation.retention), None)
    before = next(iter(evaluation.retention_untouched), None)
    student = lab.run / "seal" / NAME
    return account.Lesson(
        account_id=lab.account_id,
        answers=granted,
        stray=sum(exchange.grant_id is None for exchange in mine),
        hindered=lab.account_id in account.bound(decisions, account.SANCTION),
        kept=None if kept is None else kept.value,
        interval=None if kept is None else kept.interval,
        before=None if before is None else before.value,
        student=str(student),
        problems=tuple(str(problem) for problem in verify_student(student).problems),
    )
