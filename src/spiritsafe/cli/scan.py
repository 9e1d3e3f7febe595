"""``spiritsafe scan``: which accounts and rings of a log are pulling the model out, with the evidence."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.progress import progress
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spiritsafe.detect.explain import Explained
    from spiritsafe.detect.log import Log
    from spiritsafe.detect.reference import Reference
    from spiritsafe.detect.scan import Scanned
    from spiritsafe.detect.types import Finding
    from spiritsafe.policy.rules import Rules
    from spiritsafe.store.models import Decision, Grant

Verdict = Literal["clear", "watch", "flag"]

SHOWN = 20
SMALL = 200_000


class TellingLine(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange that weighs. ``share`` is its part of what leaving out each exchange that was read again takes away
    from the evidence; ``by`` are the detectors to which it is one of the three that weigh most.
    """

    account_id: str
    exchange_id: str | None
    time: datetime | None
    text: str | None
    share: float
    by: list[str]


class AlikeLine(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of honest tenant that it looks most alike; the fields are those of ``detect.types.Alike``."""

    kind: str
    accounts: int
    distance: float
    usual: float | None
    widest: float | None
    example: str | None


class AccountLine(msgspec.Struct, frozen=True, kw_only=True):
    """One account. ``log10_e`` is the evidence from at least two families, its own or that of the ring it is flagged
    with; null if it sent too little to be looked at. ``telling`` are the exchanges that weigh most, ``alike`` is the
    kind of honest tenant it looks most alike, if something was decided about it alone; otherwise its ring has them.
    """

    account_id: str
    decision: Verdict
    log10_e: float | None
    because: list[str]
    telling: list[TellingLine] = []
    alike: AlikeLine | None = None


class LinkLine(msgspec.Struct, frozen=True, kw_only=True):
    """One value that members of a ring share; ``value`` is a digest of it."""

    kind: str
    value: str
    accounts: int
    log10_e: float


class RingLine(msgspec.Struct, frozen=True, kw_only=True):
    """One ring. ``accounts`` are those accused; linked accounts of which nothing of their own speaks are left out."""

    ring_id: str
    decision: Verdict
    accounts: list[str]
    log10_e: float
    links: list[LinkLine]
    because: list[str]
    telling: list[TellingLine] = []
    alike: AlikeLine | None = None


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a scan found."""

    accounts: list[AccountLine]
    rings: list[RingLine]
    exchanges: int
    seconds: float
    fdr: float
    policy: str
    because: list[str]


class GrantLine(msgspec.Struct, frozen=True, kw_only=True):
    """One permit in a grants file: JSON, a list of these. Other fields are ignored."""

    account_id: str
    purpose: str
    model: str = "*"
    expires: datetime | None = None
    revoked: datetime | None = None


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("scan")(scan)


def scan(
    logs: Annotated[list[str], typer.Argument(metavar="LOG...", help="Parquet files, patterns, or data folders.")],
    grants: Annotated[Path | None, typer.Option(help="Permits to distil: a JSON list.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Honest traffic to compare with, or starter; else the log itself.")
    ] = None,
    engine: Annotated[str, typer.Option(help="What it runs on: local (processes) or ray.")] = "local",
    workers: Annotated[int | None, typer.Option(help="How many tasks at once; else one a core.")] = None,
    partials: Annotated[
        Path | None, typer.Option(help="Keep what was learnt here, for tomorrow; else beside the reference.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The policy file; else the one that ships.")] = None,
    fdr: Annotated[float | None, typer.Option(help="Of all flagged, the share that may be honest.")] = None,
    save_reference: Annotated[Path | None, typer.Option(help="Make a reference of the log instead.")] = None,
    json: Json = False,
) -> None:
    """Find accounts and rings that pull the model out of a log.

    Nobody is flagged on evidence from one family alone, nor for being unlike the rest. Ends with 1 if someone is
    flagged, with 0 if nobody is.
    """
    from spiritsafe.detect import reference as references
    from spiritsafe.detect import scan as detection
    from spiritsafe.detect.engine import open_engine
    from spiritsafe.detect.log import open_log
    from spiritsafe.policy import rules as policies

    rules = policies.load(policy)
    if fdr is not None:
        if not 0.0 < fdr < 1.0:
            raise UsageError(f"--fdr {fdr} is no share", remedy="Give a number between 0 and 1, such as 0.01.")
        rules = msgspec.structs.replace(rules, fdr=fdr)
    held = [] if grants is None else read_grants(grants)
    permits = [grant for grant in held if grant.purpose in rules.purposes]
    known = None if reference is None else references.load(reference)
    log = open_log(logs)
    if save_reference is not None:
        _save_reference(log, permits, save_reference, source=", ".join(logs))
        return
    kept = partials
    if kept is None and reference is not None and reference.exists():
        kept = reference.with_name(f"{reference.name}.partials")
    # A process takes a second to start: a small log is read by this one.
    runs = open_engine(engine, 1 if engine == "local" and workers is None and log.rows < SMALL else workers)
    with progress("scan", log.rows, "exchanges") as tell, closing(runs):
        scanned = detection.scan(log, grants=permits, reference=known, report=tell, engine=runs, partials=kept)
    report = _report(scanned, permits, rules, known, log)
    if json:
        emit_json(report)
    else:
        _print(report)
    flagged = sum(line.decision == "flag" for line in report.accounts)
    if flagged:
        typer.echo(f"spiritsafe: found: {flagged} accounts flagged", err=True)
        raise typer.Exit(1)


def read_grants(path: Path) -> list[Grant]:
    """Read a grants file. Raises InputError if it is none."""
    from spiritsafe.store.models import Grant

    try:
        lines = msgspec.json.decode(path.read_bytes(), type=list[GrantLine])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(
            f"the grants can't be read: {error}",
            remedy='Give a JSON list such as [{"account_id": "a", "model": "*", "purpose": "distil"}].',
            where=str(path),
        ) from error
    begun = datetime(1970, 1, 1, tzinfo=UTC)
    return [
        Grant(grant_id=f"{path.name}:{place + 1}", by=str(path), created=begun, **msgspec.structs.asdict(line))
        for place, line in enumerate(lines)
    ]


def _save_reference(log: Log, permits: Sequence[Grant], path: Path, source: str) -> None:
    from spiritsafe.detect import scan as detection
    from spiritsafe.detect.calibrate import reference_of

    with progress("reference", log.rows, "exchanges") as tell:
        watch = detection.collect(log, grants=permits, report=tell)
    made = reference_of(watch, made=datetime.now(UTC), source=source)
    made.save(path)
    typer.echo(f"{path}: {made.because()}", err=True)


def _drift(scanned: Scanned, reference: Reference | None) -> list[str]:
    from spiritsafe.detect.drift import CERTAIN, log10_drift

    chance = 0.0 if reference is None else log10_drift(scanned.evaluation, reference)
    if chance > CERTAIN:
        return []
    return [f"the traffic has drifted from the reference (chance 10^{chance:.1f} without): calibrate again"]


def _report(
    scanned: Scanned, permits: Sequence[Grant], rules: Rules, reference: Reference | None, log: Log
) -> ScanReport:
    """Let policy decide, and put its decisions beside the accounts and rings that they cover."""
    from spiritsafe.detect.explain import told
    from spiritsafe.policy.decide import accuses, decide
    from spiritsafe.policy.weigh import by_family, from_families

    found = scanned.evaluation.findings
    decisions = decide(found, permits, rules, datetime.now(UTC), tested=scanned.evaluation.tested)
    explained = _explained(scanned, log, permits, {decision.subject for decision in decisions})
    strongest = {subject: told(decision, explained) for subject, decision in _strongest(decisions).items()}
    wealth = {f.subject: from_families(by_family(f.evidence), 2) for f in found}
    verdicts: dict[str, Verdict] = {
        subject: "flag" if accuses(decision.action, rules) else "watch" for subject, decision in strongest.items()
    }
    covering: dict[str, str] = {}
    for subject in sorted(strongest, key=lambda s: (verdicts[s] == "flag", wealth[s])):
        covering.update(dict.fromkeys(strongest[subject].accounts, subject))
    held = {grant.account_id: grant for grant in permits}
    own = {(finding.subject, name): why for finding in found for name, why in finding.reasons.items()}
    return ScanReport(
        accounts=[
            _account(name, covering.get(name), wealth, verdicts, strongest, held, own, explained)
            for name in scanned.accounts
        ],
        rings=[
            _ring(finding, strongest[finding.subject], verdicts[finding.subject], wealth[finding.subject], explained)
            for finding in found
            if finding.subject_kind == "ring" and finding.subject in strongest
        ],
        exchanges=scanned.exchanges,
        seconds=round(scanned.seconds, 2),
        fdr=rules.fdr,
        policy=rules.digest(),
        because=[*scanned.evaluation.because, *scanned.notes, *_drift(scanned, reference)],
    )


def _explained(scanned: Scanned, log: Log, permits: Sequence[Grant], decided: set[str]) -> dict[str, Explained]:
    """Read the exchanges again of those about whom something was decided, and say what weighs most."""
    from spiritsafe.detect import explain
    from spiritsafe.detect.again import from_log

    watch = scanned.watch
    return explain.explain(
        watch,
        [finding for finding in scanned.evaluation.findings if finding.subject in decided],
        lambda names: from_log(log, names, watch.parts, each=explain.MOST_EACH, grants=permits),
    )


def _telling(subject: str, explained: dict[str, Explained]) -> list[TellingLine]:
    from spiritsafe.stats.telling import weightiest

    if subject not in explained:
        return []
    return [
        TellingLine(
            account_id=one.account_id,
            exchange_id=one.exchange_id,
            time=one.time,
            text=one.text,
            share=one.share,
            by=list(by),
        )
        for one, by in weightiest(explained[subject].evidence)
    ]


def _alike(subject: str, explained: dict[str, Explained]) -> AlikeLine | None:
    found = explained[subject].alike if subject in explained else None
    return None if found is None else AlikeLine(**msgspec.structs.asdict(found))


def _strongest(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """The strictest decision about each subject, whether or not a person has yet to confirm it."""
    from spiritsafe.store.models import strictness

    ordered = sorted(decisions, key=lambda decision: strictness(decision.action))
    return {decision.subject: decision for decision in ordered}


def _account(
    name: str,
    subject: str | None,
    wealth: dict[str, float],
    verdicts: dict[str, Verdict],
    decisions: dict[str, Decision],
    held: dict[str, Grant],
    own: dict[tuple[str, str], str],
    explained: dict[str, Explained],
) -> AccountLine:
    if subject is None:
        because = [f"holds grant {held[name].grant_id}: what it covers was not looked at"] if name in held else []
        return AccountLine(account_id=name, decision="clear", log10_e=_rounded(wealth.get(name)), because=because)
    within = [] if subject == name else [f"with {len(decisions[subject].accounts) - 1} others in {subject}"]
    within += [own[subject, name]] if (subject, name) in own else []
    return AccountLine(
        account_id=name,
        decision=verdicts[subject],
        log10_e=_rounded(wealth[subject]),
        because=[*within, *decisions[subject].reasons[:-1]],
        telling=_telling(subject, explained) if subject == name else [],
        alike=_alike(subject, explained) if subject == name else None,
    )


def _ring(
    finding: Finding, decision: Decision, verdict: Verdict, log10_e: float, explained: dict[str, Explained]
) -> RingLine:
    links = [
        LinkLine(kind=link.kind, value=link.value, accounts=len(link.accounts), log10_e=round(link.log10_e, 3))
        for link in finding.links
    ]
    return RingLine(
        ring_id=finding.subject,
        decision=verdict,
        accounts=list(decision.accounts),
        log10_e=round(log10_e, 3),
        links=links,
        because=list(decision.reasons[:-1]),
        telling=_telling(finding.subject, explained),
        alike=_alike(finding.subject, explained),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _print(report: ScanReport) -> None:
    flagged = [line for line in report.accounts if line.decision == "flag"]
    watched = [line for line in report.accounts if line.decision == "watch"]
    rings = [
        (r.ring_id, r.decision, len(r.accounts), f"10^{r.log10_e:.1f}", " + ".join(sorted({k.kind for k in r.links})))
        for r in sorted(report.rings, key=lambda r: -r.log10_e)
    ]
    if rings:
        emit_table(("ring", "decision", "accounts", "evidence", "linked by"), rings)
    lines = sorted(flagged + watched, key=lambda line: (line.decision != "flag", -(line.log10_e or 0.0)))[:SHOWN]
    if lines:
        shown = [(line.account_id, line.decision, f"10^{line.log10_e or 0.0:.1f}", line.because[0]) for line in lines]
        emit_table(("account", "decision", "evidence", "because"), shown)
    _print_telling(report)
    typer.echo(
        f"{len(flagged)} of {len(report.accounts)} accounts flagged, {len(watched)} to watch, {len(rings)} rings;"
        f" {report.exchanges:,} exchanges in {report.seconds:.1f} s; of those flagged at most {report.fdr:.1%} are"
        f" expected to be honest; {'; '.join(report.because)}."
    )


def _print_telling(report: ScanReport) -> None:
    """What weighs most against those who are flagged, and whom they look like."""
    flagged = [line for line in report.rings if line.decision == "flag"]
    alone = [line for line in report.accounts if line.decision == "flag" and line.telling]
    named = [(line.ring_id, line) for line in flagged] + [(line.account_id, line) for line in alone]
    telling = [
        (
            name,
            one.exchange_id or "-",
            one.account_id,
            f"{one.time:%Y-%m-%d %H:%M}" if one.time else "-",
            one.text or "-",
        )
        for name, line in named[:SHOWN]
        for one in line.telling
    ]
    if telling:
        emit_table(("weighs most against", "exchange", "account", "time", "text"), telling)
    looks = [
        (name, line.alike.kind, str(line.alike.accounts), f"{line.alike.distance:.2f}", line.alike.example or "-")
        for name, line in named[:SHOWN]
        if line.alike is not None
    ]
    if looks:
        emit_table(("looks most alike", "kind", "accounts of it", "distance (0 to 1)", "such as"), looks)
