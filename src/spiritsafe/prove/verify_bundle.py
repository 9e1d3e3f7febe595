"""Checking a bundle, offline, by somebody who trusts nothing in it.

1. The archive is exactly what its members make: nothing hides between them.
2. The statement is signed, by the key one expects if one says which.
3. Every member is listed in the statement, with its digest, and none is missing.
4. The plan is the one that the results are of. If a stamping authority vouches for its time, that holds.
5. Each test's inputs are those of the plan; each key is the one that was committed to, before its data left, and the
   plan was made before anybody was asked.
6. Every cell is computed again from the inputs, the keys and what the models said, and the conclusion from the cells.
7. The reports tell these results, and no others.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec
from cryptography import x509

from spiritsafe.errors import BrokenRecord, InputError, SpiritsafeError
from spiritsafe.evidence import dsse, statement
from spiritsafe.evidence.document import to_html
from spiritsafe.evidence.signing import PublicKey
from spiritsafe.evidence.timestamp import Stamp, check, time_of
from spiritsafe.prove import bundle
from spiritsafe.prove.account import document
from spiritsafe.prove.bundle import Claim, Results, decoded, unpacked
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.plan import Plan, code_digest, code_files, plan_from, problems
from spiritsafe.prove.protocol import Cell, conclude, differs, run
from spiritsafe.prove.suspect import Suspect
from spiritsafe.prove.transcript import Replayed


class Trouble(msgspec.Struct, frozen=True):
    """One thing that is wrong: at which step, in which member, and what."""

    step: int
    where: str
    message: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What came of checking. ``finding`` is the bundle's own verdict, to be believed only if it is ``intact``."""

    verdict: Literal["intact", "broken"]
    problems: tuple[Trouble, ...]
    notes: tuple[str, ...] = ()
    key: str | None = None
    case: str | None = None
    finding: str | None = None
    stamped: datetime | None = None
    cells: int = 0


def verify(path: Path, key: str | None = None, roots: Sequence[x509.Certificate] = ()) -> Verification:
    """Check a bundle. ``key`` is the fingerprint that the signer's key must have; ``roots`` vouch for the stamping
    authority. Raises ``InputError`` for a file that can't be read.
    """
    try:
        contents = unpacked(path)
    except BrokenRecord as error:
        return _found([Trouble(1, error.where or str(path), error.message)])
    found: list[Trouble] = []
    signer, claim = _signed(contents, key, found)
    if found:
        return _found(found, key=signer)
    try:
        plan = plan_from(contents[bundle.PLAN], bundle.PLAN)
        results: Results = decoded(contents, bundle.RESULTS, Results)
    except (BrokenRecord, KeyError) as error:
        where = error.where if isinstance(error, BrokenRecord) else str(error)
        return _found([Trouble(4, where or bundle.PLAN, str(error))], key=signer)
    notes, when = _planned(contents, plan, results, claim, roots, found)
    found += _recomputed(contents, plan, results)
    if not found:
        found += _told(contents, plan, results, notes)
    return _found(
        found,
        key=signer,
        notes=tuple(notes),
        case=plan.case,
        finding=results.conclusion.verdict,
        stamped=when,
        cells=len(results.cells),
    )


def _found(troubles: Sequence[Trouble], **more: Any) -> Verification:
    return Verification(verdict="broken" if troubles else "intact", problems=tuple(troubles), **more)


def _signed(contents: Mapping[str, bytes], key: str | None, found: list[Trouble]) -> tuple[str | None, Claim | None]:
    """Steps 2 and 3."""
    try:
        public = PublicKey.read(contents[bundle.SIGNER], bundle.SIGNER)
        opened = dsse.decode(contents[bundle.STATEMENT], bundle.STATEMENT)
        said = statement.read(opened.payload, opened.payload_type, bundle.STATEMENT)
        claim = statement.predicate(said, Claim, bundle.STATEMENT)
    except KeyError as error:
        found.append(Trouble(2, str(error).strip("'"), "it is missing"))
        return None, None
    except SpiritsafeError as error:
        found.append(Trouble(2, error.where or bundle.STATEMENT, error.message))
        return None, None
    if not public.verifies(opened.signature, opened.signed):
        found.append(Trouble(2, bundle.STATEMENT, "the signature does not fit"))
    if key is not None and key != public.fingerprint:
        found.append(Trouble(2, bundle.SIGNER, f"it is signed by {public.fingerprint}, not by {key}"))
    listed = {subject.name: subject.digest.get("sha256") for subject in said.subject}
    there = contents.keys() - {bundle.STATEMENT}
    found += [Trouble(3, name, "it is missing") for name in sorted(listed.keys() - there)]
    found += [Trouble(3, name, "it is not in the statement") for name in sorted(there - listed.keys())]
    for name in sorted(there & listed.keys()):
        if hashlib.sha256(contents[name]).hexdigest() != listed[name]:
            found.append(Trouble(3, name, "its bytes were changed"))
    return public.fingerprint, claim


def _planned(
    contents: Mapping[str, bytes],
    plan: Plan,
    results: Results,
    claim: Claim | None,
    roots: Sequence[x509.Certificate],
    found: list[Trouble],
) -> tuple[list[str], datetime | None]:
    """Step 4, and of step 5 that the plan came first."""
    if results.plan != plan.digest:
        found.append(Trouble(4, bundle.RESULTS, "its results are of another plan"))
    verdict = results.conclusion.verdict
    if claim != Claim(case=plan.case, plan=plan.digest, code=plan.code, package=plan.package, verdict=verdict):
        found.append(Trouble(4, bundle.STATEMENT, "the statement says something else than the plan and the results"))
    if results.asked < plan.made:
        found.append(Trouble(5, bundle.PLAN, "the plan is younger than the first question"))
    if bundle.RESPONSE not in contents:
        return ["no stamping authority vouches for the plan's time"], None
    stamp = Stamp(contents.get(bundle.REQUEST, b""), contents[bundle.RESPONSE])
    try:
        if not roots:
            said = time_of(stamp, bundle.RESPONSE)
            return [f"the plan's time stamp ({said:%Y-%m-%d %H:%M:%S}Z) was not checked: give --authority"], None
        when = check(stamp, plan.data, roots, bundle.RESPONSE)
    except BrokenRecord as error:
        found.append(Trouble(4, bundle.RESPONSE, error.message))
        return [], None
    if when > results.asked:
        found.append(Trouble(5, bundle.RESPONSE, "the plan was stamped only after the first question"))
    return [], when


def _recomputed(contents: Mapping[str, bytes], plan: Plan, results: Results) -> list[Trouble]:
    """Steps 5 and 6."""
    found: list[Trouble] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            _lay_out(contents, folder)
            instruments, secrets = [], []
            for at, part in enumerate(plan.parts):
                if hashlib.sha256(contents[f"inputs/{at}"]).hexdigest() != part.inputs:
                    found.append(Trouble(5, f"inputs/{at}", "these are not the inputs that were planned"))
                secrets.append(bytes.fromhex(contents[f"secrets/{at}"].decode("ascii")))
                instruments.append(open_instrument(part.test, folder / f"inputs/{at}", part.options))
                wrong = problems(part, instruments[at], secrets[at], plan.made)
                found += [Trouble(5, f"secrets/{at}", message) for message in wrong]

            def ask(model: int, part: int) -> tuple[Suspect, Suspect | None]:
                reference = Replayed(folder / f"said/reference/{part}") if plan.parts[part].reference else None
                return Replayed(folder / f"said/{model}/{part}"), reference

            again = run(plan, instruments, secrets, ask)
        except (SpiritsafeError, KeyError, ValueError, OSError) as error:
            return [*found, Trouble(6, _where(error), f"the numbers can't be computed again: {_words(error)}")]
    found += _compared(plan, results, again)
    if results.conclusion != conclude(plan, results.cells):
        found.append(Trouble(6, bundle.RESULTS, "the conclusion does not follow from the numbers"))
    return found


def _compared(plan: Plan, results: Results, again: Sequence[Cell]) -> Iterator[Trouble]:
    if len(results.cells) != len(again):
        yield Trouble(6, bundle.RESULTS, f"it has {len(results.cells)} results, and the plan makes {len(again)}")
        return
    for told, found in zip(results.cells, again, strict=True):
        if differs(msgspec.to_builtins(told), msgspec.to_builtins(found)):
            name = f"test {told.part} of model {told.model} under key {told.key}"
            yield Trouble(6, bundle.RESULTS, f"{name}: the numbers are not those that the inputs give")


def _told(contents: Mapping[str, bytes], plan: Plan, results: Results, notes: list[str]) -> list[Trouble]:
    """Step 7, where the code is the same that wrote them."""
    if plan.code != code_digest():
        mine = code_files()
        theirs: dict[str, str] = decoded(contents, bundle.CODE, dict[str, str])
        changed = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        notes.append(
            f"computed again with other code than the bundle's (version {plan.package}): {len(changed)} files differ, "
            f"the first {changed[0] if changed else 'none that is listed'}; the reports were not set again"
        )
        return []
    from spiritsafe.evidence.pdf import to_pdf  # noqa: PLC0415 - what sets the paper is loaded to set it

    told = document(plan, results)
    pages = {bundle.PAGE: to_html(told).encode(), bundle.PAPER: to_pdf(told)}
    return [
        Trouble(7, name, "it does not tell these results") for name, data in pages.items() if contents.get(name) != data
    ]


def _lay_out(contents: Mapping[str, bytes], folder: Path) -> None:
    """Put inputs and transcripts where files are expected. A name can't lead out of the folder."""
    for name, data in contents.items():
        parts = PurePosixPath(name).parts
        if parts[0] not in ("inputs", "said"):
            continue
        if ".." in parts or name.startswith("/"):
            raise InputError("a member's name leads elsewhere", where=name, remedy=bundle.REMEDY)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _where(error: BaseException) -> str:
    if isinstance(error, SpiritsafeError) and error.where:
        parts = PurePosixPath(error.where.partition(":")[0]).parts
        at = next((n for n, part in enumerate(parts) if part in ("inputs", "said")), None)
        return error.where if at is None else "/".join(parts[at:])
    return str(error).strip("'") if isinstance(error, KeyError) else bundle.RESULTS


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, SpiritsafeError) else str(error) or type(error).__name__
