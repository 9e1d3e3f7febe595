"""Stage 1: may we? Checked before the first request, and written down with its reasons."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from spiritsafe.distill.prompts import LICENCE
from spiritsafe.distill.recipe import Prompts, Recipe
from spiritsafe.distill.stages import Run, write_atomic
from spiritsafe.distill.steps.types import Made, Report
from spiritsafe.distill.terms.ask import ask, needs_grant
from spiritsafe.distill.terms.grant import Grant, open_grant, permit
from spiritsafe.distill.terms.registry import own_registry
from spiritsafe.distill.terms.types import Answer
from spiritsafe.errors import InputError, Refused, UsageError
from spiritsafe.record.keys import Public

EMBEDDED = "HuggingFaceTB/SmolLM2-135M-Instruct"


class Licence(msgspec.Struct, frozen=True, kw_only=True):
    """What one file of prompts (or one generator's) may be used under, or who decided to use it without knowing."""

    file: str
    licence: str | None
    acknowledged_by: str | None


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """What ``terms/permission.json`` holds: the answer about the teacher, and the prompts' licences."""

    version: int = 1
    teacher: str
    answer: Answer
    prompts: tuple[Licence, ...]
    checked: datetime
    grant: Grant | None = None


def step(run: Run, report: Report) -> Made:
    """Ask the registry about the teacher and the prompts. Raises ``Refused`` for a teacher that is forbidden or
    unknown without a grant, and for prompts whose licence nobody knows or answers for.
    """
    recipe = run.recipe
    licences = [_licence(section) for section in recipe.prompts]
    answer, grant = _answer(recipe), None
    if needs_grant(answer) or recipe.teacher.grant is not None:
        answer, grant = _granted(run, answer)
    permission = Permission(
        teacher=recipe.teacher.source,
        answer=answer,
        prompts=tuple(licences),
        checked=datetime.now(UTC),
        grant=grant,
    )
    path = run.path("terms") / "permission.json"
    write_atomic(path, msgspec.json.format(msgspec.json.encode(permission), indent=1))
    report(f"terms: {answer.verdict}", 1.0, 0.0)
    return Made([path], {"verdict": answer.verdict, "conditions": len(answer.conditions), "grant": answer.grant or ""})


def read_permission(run: Run) -> Permission:
    """What the stage wrote."""
    return msgspec.json.decode((run.path("terms") / "permission.json").read_bytes(), type=Permission)


def name_and_host(recipe: Recipe) -> tuple[str, str | None]:
    """The name to look up, and the host that serves it where that is somebody else's."""
    name, host = _named(recipe.teacher.source)
    return recipe.teacher.terms or name, host


def _named(source: str) -> tuple[str, str | None]:
    scheme, _, rest = source.partition(":")
    host = None
    if scheme == "smollm2":
        name = EMBEDDED
    elif scheme == "openai":
        url, _, name = rest.partition("#")
        host = urlsplit(url).hostname
        if host is not None and _own(host):
            host = None
    else:
        name = Path(rest).stem if scheme == "gguf" else Path(rest).name
    return name, host


def _own(host: str) -> bool:
    """Whether an address is this machine's or this network's own: no third party serves it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return address.is_loopback or address.is_private


def _answer(recipe: Recipe) -> Answer:
    """What the teacher's terms say; where its weights are used under another name, the stricter of both names'."""
    name, host = name_and_host(recipe)
    answer = _asked(recipe, name, host)
    if recipe.teacher.weights is None or recipe.teacher.terms is not None:
        return answer
    of_weights = _asked(recipe, _named(recipe.teacher.weights)[0], None)
    return of_weights if needs_grant(of_weights) and not needs_grant(answer) else answer


def _asked(recipe: Recipe, name: str, host: str | None) -> Answer:
    registry = own_registry()
    if host is None:
        return ask(name, registry, purpose=recipe.purpose)
    try:
        return ask(name, registry, purpose=recipe.purpose, via=host)
    except UsageError:  # the registry knows no such host, so nobody has read what it allows
        answer = ask(name, registry, purpose=recipe.purpose)
        verdict = answer.verdict if answer.verdict == "forbidden" else "unknown"
        reason = f"the registry does not know the host {host}, whose own terms hold too"
        return msgspec.structs.replace(answer, verdict=verdict, reasons=(reason, *answer.reasons))


def _granted(run: Run, answer: Answer) -> tuple[Answer, Grant]:
    teacher = run.recipe.teacher
    if teacher.grant is None:
        raise Refused(
            f"{answer.name} is {answer.verdict} for {answer.purpose}: {'; '.join(answer.reasons)}",
            remedy="Get a grant from its owner and name it in teacher.grant, or learn from another teacher.",
            where="teacher",
        )
    path = run.find(teacher.grant)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the grant can't be read: {error.strerror}", remedy="Check teacher.grant.", where=str(path)
        ) from error
    trusted = [_public(run.find(name)) for name in teacher.trust]
    held = open_grant(data, trusted, where=str(path))
    return permit(answer, held, now=datetime.now(UTC), where=str(path)), held.grant


def _public(path: Path) -> Public:
    try:
        key = Public.from_text(path.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        key = None
    if key is None:
        raise InputError(
            "not a public key", remedy="A key's file is one line, 'ed25519' and 64 hex digits.", where=str(path)
        )
    return key


def _licence(section: Prompts) -> Licence:
    licence = section.licence or (LICENCE if section.generate is not None else None)
    if licence is None and section.acknowledge is None:
        raise Refused(
            f"nobody says under what licence the prompts in {section.name} may be used",
            remedy="Give their 'licence' (SPDX), or 'acknowledge' with the name of who decides to use them.",
            where="prompts",
        )
    return Licence(file=section.name, licence=licence, acknowledged_by=section.acknowledge)
