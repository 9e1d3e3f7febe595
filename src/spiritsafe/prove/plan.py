"""What is fixed before a suspect is asked: a case as a person writes it, and the plan that is committed to.

A plan names everything that could be chosen to please afterwards: the inputs and the code by digest, the keys by
what was published of them, how much is asked, the level, the stopping rule, the controls and the decoys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec

import spiritsafe
from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.types import Instrument, Options
from spiritsafe.record.keys import read_secret
from spiritsafe.settings import load

VERSION = 1
ROOMS = ("prove", "protect", "stats")
"""Whose source the code's digest is over: everything that a number comes from."""

Stopping = Literal["fixed", "anytime"]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class CaseTest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test of a case. Files are named from the case's folder: ``inputs``, the ``secret`` (64 hexadecimal digits,
    readable by its owner alone) and the ``commitment`` to it (JSON with ``digest`` and ``time``). ``reference`` is a
    model that never saw the key, by its spec.
    """

    test: str
    inputs: str
    secret: str
    commitment: str
    reference: str | None = None
    options: Options = Options()


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case as a person writes it. ``stopping`` ``fixed`` goes by p-values once, ``anytime`` by e-values, which may be
    looked at again as more comes in. ``decoys`` are keys that were never used; ``controls`` are models that can't have
    been trained on the data. ``names`` are the teacher's and its maker's, for leads alone.
    """

    name: str
    subject: str
    tests: tuple[CaseTest, ...]
    version: Literal[1] = 1
    alpha: Share = 0.01
    stopping: Stopping = "fixed"
    controls: tuple[str, ...] = ()
    decoys: Annotated[int, msgspec.Meta(ge=0, le=999)] = 9
    seed: int = 1
    names: tuple[str, ...] = ()


class Published(msgspec.Struct, frozen=True):
    """What was published of a key, and when."""

    digest: str
    time: datetime


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test of a plan. ``inputs`` is the SHA-256 of its file, ``n`` what there is to compare, ``first`` to ``last``
    the window in which the data left.
    """

    test: str
    inputs: str
    options: Options
    published: Published
    n: int
    unit: str
    reference: bool = False
    first: datetime | None = None
    last: datetime | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is committed to before the suspect is asked."""

    version: int
    case: str
    subject: str
    made: datetime
    alpha: float
    stopping: Stopping
    controls: int
    decoys: int
    seed: int
    parts: tuple[Part, ...]
    code: str
    package: str

    @property
    def digest(self) -> str:
        """SHA-256 in hex of its canonical JSON."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def data(self) -> bytes:
        """Its canonical JSON."""
        return msgspec.json.encode(self, order="sorted")


def read_case(path: Path) -> Case:
    """A case from its YAML. Raises ``ConfigError`` with every problem, ``InputError`` for one without tests."""
    case = load(path, Case)
    if not case.tests:
        raise InputError("the case has no tests", where=str(path), remedy="Name at least one under 'tests:'.")
    return case


def make_plan(case: Case, folder: Path, now: datetime | None = None) -> Plan:
    """The plan of a case whose files are in ``folder``.

    Raises ``InputError`` for files that can't be used, ``BrokenRecord`` for a secret that is not the one that was
    published, or was published only after its data had left.
    """
    made = now or datetime.now(UTC)
    parts = tuple(_part(one, folder) for one in case.tests)
    for number, (part, one) in enumerate(zip(parts, case.tests, strict=True)):
        instrument = open_instrument(one.test, folder / one.inputs, one.options)
        wrong = problems(part, instrument, read_secret(folder / one.secret), made)
        if wrong:
            raise BrokenRecord(wrong[0], where=f"test {number + 1}, {one.test}", remedy=REMEDY)
    return Plan(
        version=VERSION,
        case=case.name,
        subject=case.subject,
        made=made,
        alpha=case.alpha,
        stopping=case.stopping,
        controls=len(case.controls),
        decoys=case.decoys,
        seed=case.seed,
        parts=parts,
        code=code_digest(),
        package=spiritsafe.__version__,
    )


REMEDY = "Test only data that left after its key was committed to, with the key that was."


def problems(part: Part, instrument: Instrument, secret: bytes, made: datetime) -> list[str]:
    """What is wrong with a part's key: another than was published, or published too late."""
    found = []
    if not instrument.opens(secret, part.published.digest):
        found.append("the secret is not the one that was committed to")
    first = instrument.first
    if first is not None and first < part.published.time:
        found.append(
            f"a key used before it was committed: data left on {first:%Y-%m-%d %H:%M:%S}Z, the commitment is of "
            f"{part.published.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z, younger than the data"
        )
    if part.published.time > made:
        found.append("the key was committed to after the plan was made")
    return found


def code_files() -> dict[str, str]:
    """SHA-256 of each source file that a number comes from, by its path in the package."""
    root = Path(spiritsafe.__file__).parent
    files = sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def code_digest(files: dict[str, str] | None = None) -> str:
    """SHA-256 over the names and digests of those files."""
    data = msgspec.json.encode(code_files() if files is None else files, order="sorted")
    return hashlib.sha256(data).hexdigest()


def read_published(path: Path) -> Published:
    """A commitment from its file; fields other than ``digest`` and ``time`` are passed over. Raises ``InputError``."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Published)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            f"there is no commitment: {error}", where=str(path), remedy="Give a JSON file with digest and time."
        ) from error


def _part(one: CaseTest, folder: Path) -> Part:
    path = folder / one.inputs
    if not path.is_file():
        raise InputError("there are no inputs", where=str(path), remedy="Name a file in the case's folder.")
    instrument = open_instrument(one.test, path, one.options)
    return Part(
        test=one.test,
        inputs=hashlib.sha256(path.read_bytes()).hexdigest(),
        options=one.options,
        published=read_published(folder / one.commitment),
        n=instrument.n,
        unit=instrument.unit,
        reference=one.reference is not None,
        first=instrument.first,
        last=instrument.last,
    )


def plan_from(data: bytes, where: str) -> Plan:
    """A plan from its canonical JSON. Raises ``BrokenRecord`` for any other bytes."""
    try:
        plan = msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        raise BrokenRecord(f"it is no plan: {error}", where=where, remedy="Get the file again.") from error
    if plan.data != data:
        raise BrokenRecord("it is not in the form in which it is written", where=where, remedy="Get the file again.")
    return plan


def windows(parts: Sequence[Part]) -> tuple[str, ...]:
    """When each part's data left, in words."""
    return tuple(
        f"{part.first:%Y-%m-%d} to {part.last:%Y-%m-%d}" if part.first and part.last else "not known" for part in parts
    )
