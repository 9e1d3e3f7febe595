"""A run's provenance as a lineage statement says it: all that can be is a digest, the rest is marked as a claim."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from spiritsafe.distill.stages import Manifest, Run, Stage, code_digest, file_digest
from spiritsafe.distill.weights import has_weights, weights_folder
from spiritsafe.evidence import lineage
from spiritsafe.evidence.manifest import manifest_of
from spiritsafe.record import head
from spiritsafe.record.keys import Public
from spiritsafe.record.layout import head_path, public_path

if TYPE_CHECKING:
    from spiritsafe.distill.export import Exported
    from spiritsafe.distill.retention import Ratio
    from spiritsafe.distill.steps.evaluate import Evaluation
    from spiritsafe.distill.steps.terms import Permission
    from spiritsafe.distill.terms.grant import Grant
    from spiritsafe.evidence.signing import PublicKey


class Shown(NamedTuple):
    """A grant's file, what it says, and the trusted key that signed it."""

    data: bytes
    grant: Grant
    key: Public


def lineage_of(
    run: Run,
    permission: Permission,
    grant: Shown | None,
    manifests: Mapping[Stage, Manifest],
    evaluation: Evaluation | None,
    exported: Exported,
    folder: Path,
    key: PublicKey,
) -> lineage.Lineage:
    """The lineage of the student in ``folder``, into which the manifests were copied, to be signed with ``key``."""
    stages = tuple(
        lineage.Stage(stage=stage, manifest=file_digest(folder / lineage.FOLDER / f"{stage}.json"), code=manifest.code)
        for stage, manifest in manifests.items()
    )
    return lineage.Lineage(
        name=run.recipe.seal.name,
        made=datetime.now(UTC).replace(microsecond=0),
        teacher=_teacher(run, permission, grant),
        prompts=tuple(
            lineage.Prompts(file=_public_file(p.file), licence=p.licence, acknowledged_by=p.acknowledged_by)
            for p in permission.prompts
        ),
        record=_record(run),
        answers=manifests["collect"].outputs,
        curated=manifests["curate"].outputs,
        stages=stages,
        code=code_digest(),
        recipe=file_digest(run.folder / "recipe.json"),
        weights={name: file_digest(folder / name) for name in exported.weights},
        claims=(*_costs(manifests), *_kept(evaluation)),
        signer=lineage.Signer(key=key.fingerprint, origin="fresh" if run.recipe.seal.key is None else "own"),
    )


def _teacher(run: Run, permission: Permission, shown: Shown | None) -> lineage.Teacher:
    answer = permission.answer
    terms = tuple(
        lineage.Terms(
            terms=a.terms,
            name=a.name,
            verdict=a.verdict,
            document=a.source.document,
            url=a.source.url,
            read=a.source.read,
        )
        for a in answer.applied
    )
    grant = None
    if shown is not None:
        grant = lineage.Grant(
            grant_id=shown.grant.grant_id,
            issuer=shown.grant.issuer,
            licensee=shown.grant.licensee,
            expires=shown.grant.expires,
            sha256=hashlib.sha256(shown.data).hexdigest(),
            key=shown.key.fingerprint,
        )
    return lineage.Teacher(
        name=answer.name,
        source=public_source(run.recipe.teacher.source),
        sha256=weights_digest(run.recipe.teacher.weights_source),
        purpose=answer.purpose,
        verdict=answer.verdict,
        reasons=answer.reasons,
        conditions=answer.conditions,
        terms=terms,
        verified=answer.verified,
        checked=permission.checked,
        grant=grant,
    )


def public_source(source: str) -> str:
    """A teacher's source as strangers may see it: no place on this machine, no name or password in an address."""
    scheme, _, rest = source.partition(":")
    if scheme in ("hf", "gguf"):
        return f"{scheme}:{Path(rest).name}"
    if scheme == "openai":
        url = urlsplit(rest)
        port = f":{url.port}" if url.port else ""
        return f"openai:{url.scheme}://{url.hostname}{port}{url.path}#{url.fragment}"
    return source


def _public_file(name: str) -> str:
    """A file of prompts as strangers may see it."""
    path = Path(name)
    return path.name if path.is_absolute() else name


def weights_digest(source: str) -> str | None:
    """SHA-256 of a teacher's weights where they are on this machine, None behind an API (``lineage.Teacher``)."""
    if not has_weights(source):
        return None
    files = {path.name: file_digest(path) for path in weights_folder(source).glob("*.safetensors")}
    return manifest_of(files).root if files else None


def _record(run: Run) -> lineage.Head | None:
    folder = run.folder / "collect" / "record"
    if not head_path(folder).exists():
        return None
    public = Public.from_text(public_path(folder).read_text(encoding="ascii"))
    newest = None if public is None else head.newest(head_path(folder), public)
    if newest is None:
        return None
    said = newest[0]
    return lineage.Head(log=said.log, rows=said.rows, link=said.link, key=said.key)


def _costs(manifests: Mapping[Stage, Manifest]) -> list[lineage.Claim]:
    claims = [
        lineage.Claim(name=f"seconds of {stage}", value=manifest.seconds, unit="s", basis=f"{stage}'s manifest")
        for stage, manifest in manifests.items()
    ]
    counts = manifests["collect"].counts
    money, currency = counts.get("money"), counts.get("currency")
    if isinstance(money, int | float) and isinstance(currency, str):
        claims.append(
            lineage.Claim(name="paid for answers", value=float(money), unit=currency, basis="collect's manifest")
        )
    return claims


def _kept(evaluation: Evaluation | None) -> list[lineage.Claim]:
    if evaluation is None:
        return []
    return [
        *(_claim("retention", "before training", ratio) for ratio in evaluation.retention),
        *(_claim("retention before training", None, ratio) for ratio in evaluation.retention_untouched),
    ]


def _claim(name: str, beside: str | None, ratio: Ratio) -> lineage.Claim:
    return lineage.Claim(
        name=f"{name}, {ratio.measure}",
        value=ratio.value,
        unit="student over teacher",
        interval=ratio.interval,
        beside=None if beside is None else f"retention {beside}, {ratio.measure}",
        basis=f"bootstrap over {ratio.n} held-out prompts at {ratio.confidence:g}",
    )
