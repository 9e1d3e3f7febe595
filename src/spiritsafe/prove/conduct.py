"""Running a protocol on real models: all they say is kept, and after a stop it goes on from there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.prove import bundle
from spiritsafe.prove.account import Lead
from spiritsafe.prove.bundle import Model, Results
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.plan import Case, Plan, make_plan, plan_from
from spiritsafe.prove.protocol import SUSPECT, conclude, run
from spiritsafe.prove.suspect import Suspect, open_suspect
from spiritsafe.prove.transcript import Journaled, Progress
from spiritsafe.record.keys import read_secret

ASKED = "asked.json"
Opens = Callable[[str], Suspect]


class Conducted(msgspec.Struct, frozen=True):
    """A protocol that was run: its plan, what came of it, and the bundle's members without the signer's."""

    plan: Plan
    results: Results
    members: dict[str, bytes]


def committed(case: Case, folder: Path, work: Path) -> Plan:
    """The plan of a case, kept in ``work`` from the first time on.

    Raises ``InputError`` if the case, its files or the code are no longer what the kept plan committed to.
    """
    path = work / bundle.PLAN
    if not path.exists():
        plan = make_plan(case, folder)
        work.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plan.data)
        return plan
    kept = plan_from(path.read_bytes(), str(path))
    if make_plan(case, folder, kept.made) != kept:
        raise InputError(
            "the case, its files or this code are not what was committed to",
            where=str(path),
            remedy="Put them back as they were, or begin another --out: a plan is not changed after the fact.",
        )
    return kept


def conduct(
    case: Case,
    folder: Path,
    spec: str,
    work: Path,
    *,
    opens: Opens = open_suspect,
    leads: Callable[[Suspect, Sequence[Suspect]], Sequence[Lead]] | None = None,
    progress: Progress = lambda done, of: None,
) -> Conducted:
    """Run the case's plan on the suspect ``spec``. What was said is kept in ``work``; run it again to go on.

    Raises ``ResourceError`` when a model stops answering, and what ``committed`` raises.
    """
    plan = committed(case, folder, work)
    began = _began(work)
    instruments = [open_instrument(one.test, folder / one.inputs, one.options) for one in case.tests]
    secrets = [read_secret(folder / one.secret) for one in case.tests]
    with contextlib.ExitStack() as stack:
        models = _Models((spec, *case.controls), work, opens, stack, progress)

        def ask(model: int, part: int) -> tuple[Suspect, Suspect | None]:
            reference = case.tests[part].reference
            other = None if reference is None else models.kept(reference, f"reference/{part}")
            return models.kept(models.specs[model], f"{model}/{part}"), other

        cells = run(plan, instruments, secrets, ask)
        found = () if leads is None else tuple(leads(models.open(spec), [models.open(one) for one in case.controls]))
        results = Results(
            version=1,
            plan=plan.digest,
            asked=began,
            models=tuple(_model(at, models.open(one)) for at, one in enumerate(models.specs)),
            cells=cells,
            conclusion=conclude(plan, cells),
            leads=found,
        )
        said = {name: (work / "said" / name).read_bytes() for name in models.names}
    inputs = {str(at): (folder / one.inputs).read_bytes() for at, one in enumerate(case.tests)}
    keys = {str(at): secret for at, secret in enumerate(secrets)}
    return Conducted(plan, results, bundle.members(plan, results, inputs, keys, said, _stamp(work)))


class _Models:
    """Models by their specs, each opened once, and a transcript for each purpose."""

    def __init__(
        self, specs: tuple[str, ...], work: Path, opens: Opens, stack: contextlib.ExitStack, progress: Progress
    ) -> None:
        self.specs = specs
        self.names: list[str] = []
        self._work = work
        self._opens = opens
        self._stack = stack
        self._progress = progress
        self._open: dict[str, Suspect] = {}

    def open(self, spec: str) -> Suspect:
        if spec not in self._open:
            self._open[spec] = suspect = self._opens(spec)
            self._stack.callback(suspect.close)
        return self._open[spec]

    def kept(self, spec: str, name: str) -> Suspect:
        journal = Journaled(self.open(spec), self._work / "said" / name, self._progress)
        self._stack.callback(journal.close)
        if name not in self.names:
            self.names.append(name)
        return journal


def _model(at: int, suspect: Suspect) -> Model:
    role = "suspect" if at == SUSPECT else "control"
    return Model(role=role, identity=suspect.identity, access=suspect.access)


def _began(work: Path) -> datetime:
    """When the asking began, kept from the first time on."""
    path = work / ASKED
    if not path.exists():
        path.write_bytes(msgspec.json.encode(datetime.now(UTC)))
    return msgspec.json.decode(path.read_bytes(), type=datetime)


def _stamp(work: Path) -> tuple[bytes, bytes] | None:
    request, response = work / bundle.REQUEST, work / bundle.RESPONSE
    return (request.read_bytes(), response.read_bytes()) if response.exists() else None
