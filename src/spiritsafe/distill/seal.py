"""The last stage: the student as a folder that can be handed over, with its lineage signed.

weights, configuration, tokenizer   byte for byte what was trained and measured
NAME-F16.gguf                       the same model for llama.cpp
README.md                           the model card
lineage/                            copies of the stages' manifests, the grant and who signed it
signer.pem                          the public key
lineage.dsse.json                   the lineage, signed
model.sig                           every file's digest, signed in the OpenSSF layout; written last
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from spiritsafe.distill.card import Facts, card
from spiritsafe.distill.export import FILES, Exported, export
from spiritsafe.distill.gguf import write_gguf
from spiritsafe.distill.ledger import NAME as LEDGER
from spiritsafe.distill.ledger import bill, read_ledger
from spiritsafe.distill.provenance import Shown, lineage_of
from spiritsafe.distill.stages import STAGES, Manifest, Run, Stage, write_atomic
from spiritsafe.distill.steps.evaluate import read_evaluation
from spiritsafe.distill.steps.terms import Permission, read_permission
from spiritsafe.distill.terms.ask import needs_grant
from spiritsafe.distill.terms.grant import open_grant
from spiritsafe.distill.weights import has_weights, weights_folder
from spiritsafe.errors import InputError, Refused, UsageError
from spiritsafe.evidence import lineage, model_signature
from spiritsafe.evidence.manifest import read_folder
from spiritsafe.evidence.signing import PublicKey, own_private, read_private
from spiritsafe.record.keys import Public

NEEDED: tuple[Stage, ...] = ("terms", "collect", "curate", "train")


class Sealed(NamedTuple):
    """``folder`` is the student, ``outputs`` its files, ``gguf`` the name of its GGUF file."""

    folder: Path
    outputs: list[Path]
    exported: Exported
    gguf: str | None
    key: PublicKey
    fresh: bool


def seal(run: Run, model: Path) -> Sealed:
    """Write the student in the folder ``model`` to ``RUN/seal/NAME``, whole or not at all.

    Raises ``UsageError`` for a run that has not come so far, ``Refused`` for one without permission, and
    ``InputError`` for weights or a key that can't be used.
    """
    section = run.recipe.seal
    if section.name in ("", ".", "..") or "/" in section.name or not section.name.isprintable():
        raise UsageError(f"{section.name!r} is no name for a student", remedy="Set seal.name to one plain word.")
    manifests = _manifests(run)
    permission = read_permission(run)
    if needs_grant(permission.answer):
        raise Refused(
            f"{permission.answer.name} is {permission.answer.verdict}, and no grant was shown",
            remedy="Name a grant in teacher.grant and run the stage terms again.",
        )
    key = own_private(run.folder / "keys" / "seal.pem") if section.key is None else read_private(run.find(section.key))
    out = run.path("seal") / section.name
    part = out.with_name(f".{section.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    exported = export(model, part, notices=_notices(run))
    gguf = _gguf(run, part)
    grant = _grant(run, permission)
    _copy_proofs(run, grant, manifests, part / lineage.FOLDER)
    evaluation = read_evaluation(run.path("evaluate")) if "evaluate" in manifests else None
    said = lineage_of(run, permission, grant, manifests, evaluation, exported, part, key.public)
    notices = tuple(name for name in exported.files if not any(Path(name).match(p) for p in FILES))
    spent = bill(read_ledger(run.folder)) if (run.folder / LEDGER).exists() else None
    facts = Facts(said, run.recipe, manifests, evaluation, spent, exported, gguf, notices, key.public)
    (part / "README.md").write_text(card(facts), encoding="utf-8")
    (part / lineage.KEY).write_bytes(key.public.pem)
    write_atomic(part / lineage.NAME, lineage.sign(said, read_folder(part), key))
    write_atomic(part / model_signature.NAME, model_signature.sign(section.name, read_folder(part), key))
    shutil.rmtree(out, ignore_errors=True)
    part.rename(out)
    outputs = sorted(path for path in out.rglob("*") if path.is_file())
    return Sealed(out, outputs, exported, gguf, key.public, section.key is None)


def _manifests(run: Run) -> dict[Stage, Manifest]:
    """The manifests of the stages before this one."""
    found = {stage: run.manifest(stage) for stage in STAGES[:-1]}
    missing = [stage for stage in NEEDED if found[stage] is None]
    if missing:
        raise UsageError(
            f"the run has not done {', '.join(missing)} yet",
            remedy="Run spiritsafe distill with --resume.",
            where=str(run.folder),
        )
    return {stage: manifest for stage, manifest in found.items() if manifest is not None}


def _notices(run: Run) -> Path | None:
    """Where the licence texts lie that bind a student cut out of its teacher."""
    source = run.recipe.teacher.weights_source
    return weights_folder(source) if run.recipe.student.prune is not None and has_weights(source) else None


def _gguf(run: Run, part: Path) -> str | None:
    """Write the GGUF file; returns its name."""
    section = run.recipe.seal
    if not section.gguf:
        return None
    aside = part / f"{section.name}.gguf"
    kind = write_gguf(part, aside, name=section.name)
    return aside.rename(part / f"{section.name}-{kind}.gguf").name


def _copy_proofs(run: Run, grant: Shown | None, manifests: dict[Stage, Manifest], folder: Path) -> None:
    """Copy what the lineage gives digests of: the stages' manifests, and the grant with its signer's key."""
    folder.mkdir()
    for stage in manifests:
        shutil.copyfile(run.folder / stage / "manifest.json", folder / f"{stage}.json")
    if grant is not None:
        (folder / lineage.GRANT).write_bytes(grant.data)
        (folder / lineage.GRANT_KEY).write_text(grant.key.text, encoding="ascii")


def _grant(run: Run, permission: Permission) -> Shown | None:
    """The grant that the stage ``terms`` was shown."""
    teacher = run.recipe.teacher
    if permission.answer.grant is None:
        return None
    path = run.find(teacher.grant or "")
    try:
        data = path.read_bytes()
        keys = [Public.from_text(run.find(name).read_text(encoding="ascii")) for name in teacher.trust]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the grant can't be read: {error}", remedy="Check teacher.grant and teacher.trust."
        ) from error
    trusted = [key for key in keys if key is not None]
    held = open_grant(data, trusted, where=str(path))
    if held.grant.grant_id != permission.answer.grant:
        raise InputError(
            f"it is another grant than the run began with ({permission.answer.grant})",
            remedy="Put that one back, or run the stage terms again.",
            where=str(path),
        )
    return Shown(data, held.grant, next(key for key in trusted if key.fingerprint == held.key))
