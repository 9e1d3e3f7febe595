"""Checking a sealed student offline, with nothing but its folder and (better) its signer's key known from elsewhere.

The steps, repeated below where each is taken:

1. The form: ``lineage.dsse.json``, ``model.sig`` and ``signer.pem`` are there, each in its exact form, of a version
   that is known here.
2. The key: ``signer.pem`` is the key that the other two name; the one that was expected, if a fingerprint was given.
3. The signatures: that key signed the lineage and ``model.sig``.
4. The files: every one that ``model.sig`` lists is there with its digest, and nothing else is.
5. The two agree: the lineage is about the same files; its weights are all the weights there are.
6. The stages: each manifest is the one that the lineage names, was made from those before it, and the answers, the
   curated set and the weights are the ones that their stages made.
7. The permission: the terms allowed it, or a grant inside does, signed by the key the lineage names, for this
   teacher and purpose, on the day when the terms were asked.

What this can't find: that a signer lies about what has no digest (``claims``, the terms as they read them), and
whether a key belongs to whom it should. The first is their word; for the second, compare fingerprints.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar, cast

import msgspec

from spiritsafe.distill.stages import STAGES, Manifest
from spiritsafe.distill.terms.grant import Permit, open_grant, permit
from spiritsafe.distill.terms.types import Answer, Purpose
from spiritsafe.errors import BrokenRecord, InputError, SpiritsafeError
from spiritsafe.evidence import lineage, model_signature
from spiritsafe.evidence.dsse import wrong_form
from spiritsafe.evidence.manifest import GIT, Difference, compare, manifest_of, read_folder
from spiritsafe.evidence.signing import PublicKey
from spiritsafe.record.keys import Public

T = TypeVar("T")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong: the step that found it, and where."""

    step: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. ``problems`` are in the order of the steps; ``notes`` are things to know that are not wrong.

    ``key`` signed it (None if that is not so); ``lineage`` is what the signer says, None if it can't be relied on.
    """

    verdict: Literal["intact", "broken"]
    problems: tuple[Finding, ...]
    files: int
    key: str | None
    lineage: lineage.Lineage | None
    notes: tuple[str, ...]


def is_student(path: Path) -> bool:
    """Whether ``path`` is a folder that was sealed as a student."""
    return any((path / name).is_file() for name in (lineage.NAME, model_signature.NAME))


def verify_student(
    folder: Path, *, key: str | None = None, progress: Callable[[int, int], object] = lambda done, of: None
) -> Verification:
    """Check the student in ``folder``. ``key`` is the fingerprint that is expected. ``progress`` is called with the
    bytes read and the bytes there are.

    Raises ``InputError`` for a folder that is no student or was sealed by a newer version.
    """
    if not is_student(folder):
        raise InputError(
            "this is no sealed student", remedy="Give the folder that the stage seal wrote.", where=str(folder)
        )
    check = _Check(folder, key, progress)
    check.run()
    return check.result()


class _Check:
    def __init__(self, folder: Path, key: str | None, progress: Callable[[int, int], object]) -> None:
        self._folder = folder
        self._progress = progress
        self._expected = key
        self._step = 0
        self._problems: list[Finding] = []
        self._notes: list[str] = []
        self._files = 0
        self._public: PublicKey | None = None
        self._said: lineage.Signed | None = None
        self._listed: model_signature.Signed | None = None

    def run(self) -> None:
        self._forms()
        if self._public is not None and self._key(self._public):
            self._signatures(self._public)
        else:
            self._public = self._said = self._listed = None
        self._compare_files()
        if self._said is not None and self._listed is not None and self._public is not None:
            self._agree(self._said, self._listed, self._public)
            self._stages(self._said.lineage)
            self._permission(self._said.lineage)

    def result(self) -> Verification:
        return Verification(
            verdict="broken" if self._problems else "intact",
            problems=tuple(self._problems),
            files=self._files,
            key=None if self._public is None else self._public.fingerprint,
            lineage=None if self._said is None else self._said.lineage,
            notes=tuple(self._notes),
        )

    def _wrong(self, where: str, message: str) -> None:
        self._problems.append(Finding(step=self._step, where=where, message=message))

    def _forms(self) -> None:
        # 1. The form: all three are there, exact, of a known version.
        self._step = 1
        self._said = self._read(lineage.NAME, lineage.read)
        self._listed = self._read(model_signature.NAME, model_signature.read)
        self._public = self._read(lineage.KEY, _exact_key)

    def _read(self, name: str, parse: Callable[[bytes, str], T]) -> T | None:
        try:
            return parse((self._folder / name).read_bytes(), name)
        except FileNotFoundError:
            self._wrong(name, "it is missing")
        except OSError as error:
            self._wrong(name, f"it can't be read: {error.strerror}")
        except BrokenRecord as error:
            self._wrong(name, error.message)
        return None

    def _key(self, public: PublicKey) -> bool:
        # 2. The key: the one that the other two name; the one expected.
        self._step = 2
        named: dict[str, bool] = {}
        if self._said is not None:
            named[lineage.NAME] = self._said.keyid == public.fingerprint
        if self._listed is not None:
            named[model_signature.NAME] = self._listed.hint == model_signature.hint_of(public)
        if named and not any(named.values()):
            self._wrong(lineage.KEY, f"the key {public.fingerprint} is not the one that signed")
            return False
        for name, right in named.items():
            if not right:
                self._wrong(name, f"it names another key than {public.fingerprint}")
        if self._expected is None:
            self._notes.append("the public key is the folder's own: give --key to check that it is the right one")
        elif self._expected != public.fingerprint:
            self._wrong(lineage.KEY, f"the key is {public.fingerprint}, expected {self._expected}")
        return True

    def _signatures(self, public: PublicKey) -> None:
        # 3. The signatures: that key signed both. What it did not sign is not looked at any further.
        self._step = 3
        if self._said is not None and not self._said.by(public):
            self._wrong(lineage.NAME, f"the key {public.fingerprint} did not sign it")
            self._said = None
        if self._listed is not None and not self._listed.by(public):
            self._wrong(model_signature.NAME, f"the key {public.fingerprint} did not sign it")
            self._listed = None

    def _compare_files(self) -> None:
        # 4. The files: all that are listed, as listed, and nothing else. Without model.sig the lineage's list serves.
        self._step = 4
        ignored = list(model_signature.IGNORED)
        if self._listed is not None:
            wanted = self._listed.manifest
        elif self._said is not None:
            wanted, ignored = self._said.files, [*ignored, lineage.NAME]
        else:
            return
        try:
            found = read_folder(self._folder, ignored, self._progress)
        except InputError as error:
            where = error.where or ""
            self._wrong(where.removeprefix(f"{self._folder}/"), error.message)
            return
        self._files = len(found.files)
        self._tell(compare(wanted, found))
        self._notes += [f"{name} is covered by no signature" for name in GIT if (self._folder / name).exists()]

    def _tell(self, difference: Difference) -> None:
        for name in difference.different:
            self._wrong(name, "its bytes are not those that were signed")
        for name in difference.missing:
            self._wrong(name, "it is missing")
        for name in difference.extra:
            self._wrong(name, "it is extra: nobody signed it")

    def _agree(self, said: lineage.Signed, listed: model_signature.Signed, public: PublicKey) -> None:
        # 5. The two agree: the same files, and the weights are all the weights there are.
        self._step = 5
        covered = {name: digest for name, digest in listed.manifest.files.items() if name != lineage.NAME}
        if manifest_of(covered) != said.files:
            self._wrong(lineage.NAME, f"it is about other files than {model_signature.NAME}")
        weights = {name: digest for name, digest in covered.items() if name.endswith(".safetensors")}
        if said.lineage.weights != weights:
            self._wrong(lineage.NAME, "the weights it names are not the weights of the folder")
        if said.lineage.signer.key != public.fingerprint or said.lineage.name != listed.name:
            self._wrong(lineage.NAME, "it names another signer or student")

    def _stages(self, said: lineage.Lineage) -> None:
        # 6. The stages: each manifest is the one named, made from those before it; what they made is what is named.
        self._step = 6
        names = [stage.stage for stage in said.stages]
        if names != [stage for stage in STAGES if stage in names]:
            self._wrong(lineage.NAME, f"its stages are {', '.join(names)}: not in order")
            return
        made = {stage.stage: self._manifest(stage) for stage in said.stages}
        digests = {stage.stage: stage.manifest for stage in said.stages}
        for name, manifest in made.items():
            before = {n: digests[n] for n in names[: names.index(name)]}
            if manifest is not None and manifest.inputs != before:
                self._wrong(f"{lineage.FOLDER}/{name}.json", "it was made from other stages than those before it")
        outputs = {name: manifest.outputs for name, manifest in made.items() if manifest is not None}
        if said.answers != outputs.get("collect"):
            self._wrong(lineage.NAME, "the answers it names are not those that were collected")
        if said.curated != outputs.get("curate"):
            self._wrong(lineage.NAME, "the curated set it names is not the one that was curated")
        if not said.weights or not set(said.weights.values()) <= set(outputs.get("train", {}).values()):
            self._wrong(lineage.NAME, "the weights it names are not those that were trained")

    def _manifest(self, stage: lineage.Stage) -> Manifest | None:
        path = f"{lineage.FOLDER}/{stage.stage}.json"

        def parse(data: bytes, where: str) -> Manifest:
            try:
                return msgspec.json.decode(data, type=Manifest)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise wrong_form(f"it is no stage's manifest: {error}", where) from error

        if self._said is None or self._said.files.files.get(path) != stage.manifest:
            self._wrong(path, "it is not the manifest that the lineage names")
            return None
        found = self._read(path, parse)
        if found is not None and (found.stage, found.code) != (stage.stage, stage.code):
            self._wrong(path, f"it is the manifest of {found.stage}, made by {found.code}")
        return found

    def _permission(self, said: lineage.Lineage) -> None:
        # 7. The permission: allowed by the terms, or by a grant that is inside, holds and is signed.
        self._step = 7
        teacher = said.teacher
        closed = [terms.name for terms in teacher.terms if terms.verdict in ("forbidden", "unknown")]
        if teacher.verdict not in ("allowed", "conditional"):
            self._wrong(lineage.NAME, f"{teacher.name} is {teacher.verdict} for {teacher.purpose}")
        elif teacher.grant is not None:
            self._grant(teacher, teacher.grant)
        elif closed:
            self._wrong(lineage.NAME, f"{', '.join(closed)} does not allow it, and there is no grant")

    def _grant(self, teacher: lineage.Teacher, named: lineage.Grant) -> None:
        where = f"{lineage.FOLDER}/{lineage.GRANT}"
        if self._said is None or self._said.files.files.get(where) != named.sha256:
            self._wrong(where, "it is not the grant that the lineage names")
            return
        key = self._read(f"{lineage.FOLDER}/{lineage.GRANT_KEY}", _public)
        if key is None or key.fingerprint != named.key:
            self._wrong(f"{lineage.FOLDER}/{lineage.GRANT_KEY}", f"it is not the key {named.key}")
            return
        held = self._read(where, lambda data, name: _open(data, key, name))
        if held is None:
            return
        if held.grant.grant_id != named.grant_id:
            self._wrong(where, f"it is the grant {held.grant.grant_id}, not {named.grant_id}")
        asked = Answer(
            name=teacher.name,
            purpose=cast("Purpose", teacher.purpose),
            verdict="forbidden",
            reasons=(),
            conditions=(),
            applied=(),
            verified=False,
            as_of=None,
        )
        try:
            permit(asked, held, now=teacher.checked, where=where)
        except SpiritsafeError as error:
            self._wrong(where, error.message)
        self._notes.append(
            f"the grant is signed by {named.key}: whether that key speaks for {teacher.name}, only its owner can say"
        )


def _exact_key(data: bytes, where: str) -> PublicKey:
    try:
        key = PublicKey.read(data, where)
    except InputError as error:
        raise wrong_form(error.message, where) from error
    if key.pem != data:
        raise wrong_form("it is not in the form in which it is written", where)
    return key


def _public(data: bytes, where: str) -> Public:
    key = Public.from_text(data.decode("ascii", "replace"))
    if key is None:
        raise wrong_form("it is no public key", where)
    return key


def _open(data: bytes, key: Public, where: str) -> Permit:
    try:
        return open_grant(data, [key], where=where)
    except SpiritsafeError as error:
        raise wrong_form(error.message, where) from error
