"""spiritsafe terms: may one distil from a model, under what conditions, by which clause, as of when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from spiritsafe.distill.terms.grant import Grant
    from spiritsafe.distill.terms.registry import Registry
    from spiritsafe.distill.terms.types import Answer, Purpose
    from spiritsafe.record.keys import Public


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="terms")(terms)


def terms(
    name: Annotated[str | None, typer.Argument(help="A model or a hosted service, as one writes it.")] = None,
    purpose: Annotated[
        str, typer.Option(help="What the student is for: student, narrow, research, inside.")
    ] = "student",
    via: Annotated[str | None, typer.Option(help="The host it is called through, if it is not run locally.")] = None,
    grant: Annotated[Path | None, typer.Option(help="A signed permission, for a model that needs one.")] = None,
    trust: Annotated[list[Path] | None, typer.Option(help="Public keys that may sign a grant for it.")] = None,
    registry: Annotated[Path | None, typer.Option(help="A folder of terms of your own, read besides ours.")] = None,
    every: Annotated[bool, typer.Option("--list", help="List everything that is known.")] = False,
    issue: Annotated[Path | None, typer.Option(help="As the rights holder: write a grant for NAME here.")] = None,
    key: Annotated[Path | None, typer.Option(help="With --issue: the key that signs; made if missing.")] = None,
    issuer: Annotated[str | None, typer.Option(help="With --issue: who permits it.")] = None,
    licensee: Annotated[str | None, typer.Option(help="With --issue: to whom.")] = None,
    days: Annotated[int, typer.Option(help="With --issue: for how long.", min=1)] = 90,
    max_tokens: Annotated[int | None, typer.Option(help="With --issue: how much may be asked.", min=1)] = None,
    keep_inside: Annotated[bool, typer.Option(help="With --issue: the student is not passed on.")] = False,
    as_json: Json = False,
) -> None:
    """May I distil from NAME? Ends with 0 for allowed and conditional, 1 for forbidden and unknown."""
    from spiritsafe.distill.terms.ask import as_purpose, ask, needs_grant

    known = _registry(registry)
    if every:
        _show_all(known, as_json)
        return
    if name is None:
        raise UsageError("no model is named", remedy="Run: spiritsafe terms NAME, or spiritsafe terms --list.")
    wanted = as_purpose(purpose)
    if issue is not None:
        if key is None or issuer is None or licensee is None:
            raise UsageError("a grant needs its signer", remedy="Add --key FILE, --issuer NAME and --licensee NAME.")
        _issue(issue, key, _new_grant(name, wanted, issuer, licensee, days, max_tokens, keep_inside))
        return
    answer = ask(name, known, purpose=wanted, via=via)
    if grant is not None:
        answer = _with_grant(answer, grant, trust or [])
    if as_json:
        emit_json(answer)
    else:
        _show(answer)
    if needs_grant(answer):
        raise typer.Exit(1)


def _registry(extra: Path | None) -> Registry:
    from spiritsafe.distill.terms.registry import own_registry, read_registry

    if extra is None:
        return own_registry()
    with as_file(files("spiritsafe.distill.terms") / "data") as ours:
        return read_registry(ours, extra)


def _with_grant(answer: Answer, path: Path, trust: list[Path]) -> Answer:
    from spiritsafe.distill.terms.grant import open_grant, permit

    permitted = open_grant(_read(path), [_public(p) for p in trust], where=str(path))
    return permit(answer, permitted, now=datetime.now(UTC), where=str(path))


def _new_grant(
    name: str, purpose: Purpose, issuer: str, licensee: str, days: int, max_tokens: int | None, keep_inside: bool
) -> Grant:
    from spiritsafe.distill.terms.grant import Grant, Scope

    now = datetime.now(UTC).replace(microsecond=0)
    return Grant(
        grant_id=str(uuid4()),
        issuer=issuer,
        licensee=licensee,
        teachers=(name,),
        purposes=(purpose,),
        issued=now,
        not_before=now,
        expires=now + timedelta(days=days),
        scope=Scope(max_tokens=max_tokens, release=not keep_inside),
    )


def _issue(path: Path, key: Path, grant: Grant) -> None:
    from spiritsafe.distill.terms.grant import seal_grant
    from spiritsafe.record.keys import Signer, secret

    signer = Signer(secret(key))
    path.write_bytes(seal_grant(grant, signer))
    public = path.with_suffix(".pub")
    public.write_text(signer.public.text, encoding="ascii")
    typer.echo(f"{path}: {grant.issuer} permits {grant.licensee} {grant.teachers[0]} until {grant.expires:%Y-%m-%d}")
    typer.echo(f"{public}: the public key to trust, {signer.public.fingerprint}")


def _public(path: Path) -> Public:
    from spiritsafe.record.keys import Public

    found = Public.from_text(_read(path).decode("ascii", errors="replace"))
    if found is None:
        raise InputError("not a public key", remedy="It is one line: ed25519 and 64 hex digits.", where=str(path))
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}", remedy="Check the path.", where=str(path)) from error


def _show(answer: Answer) -> None:
    typer.echo(f"{answer.name}: {answer.verdict}, for the purpose {answer.purpose!r}")
    for title, lines in (("Why", answer.reasons), ("Conditions", answer.conditions), ("Note", answer.notes)):
        if lines:
            typer.echo(f"\n{title}")
            for line in lines:
                typer.echo(f"  - {line}")
    if answer.applied:
        typer.echo("\nSources")
    for applied in answer.applied:
        source = applied.source
        read = f"{source.basis} {source.read} at {source.copy}" if source.read else source.basis
        dated = f" of {source.dated}" if source.dated else ""
        typer.echo(f"  - {source.document}{dated}, {source.url or 'no address'} ({read})")
    if answer.suggestions:
        typer.echo(f"\nDid you mean: {', '.join(answer.suggestions)}?")
    if answer.applied and not answer.verified:
        typer.echo("\nPart of this rests on recollection: read the source before you rely on it.")
    if answer.verdict in ("forbidden", "unknown"):
        typer.echo("\nTo go on, get a grant signed by the rights holder: --grant FILE --trust KEY.")
    typer.echo(f"\n{answer.advice}")


def _show_all(known: Registry, as_json: bool) -> None:
    if as_json:
        emit_json({"terms": list(known.terms.values()), "models": known.models})
        return
    rows = []
    for model in sorted(known.models, key=lambda m: (m.publisher.lower(), m.name)):
        terms = known.terms[model.terms]
        rows.append((model.publisher, model.name, terms.verdict, terms.name, terms.source.read or terms.source.basis))
    emit_table(("publisher", "model", "verdict", "terms", "read"), rows)
