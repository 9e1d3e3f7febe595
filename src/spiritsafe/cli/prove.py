"""``spiritsafe prove``: was a model trained on what was served? Make a case, commit, ask, and seal the bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spiritsafe.cli.output import Json, emit_json, emit_table, plain
from spiritsafe.cli.progress import progress
from spiritsafe.errors import InputError, UsageError

if TYPE_CHECKING:
    from spiritsafe.prove.account import Lead
    from spiritsafe.prove.conduct import Conducted
    from spiritsafe.prove.plan import Case
    from spiritsafe.prove.suspect import Suspect


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(prove)


def prove(
    suspect: Annotated[
        str | None, typer.Argument(metavar="[SUSPECT]", help="hf:FOLDER, gguf:FILE, smollm2 or openai:URL#model.")
    ] = None,
    case: Annotated[Path | None, typer.Option(metavar="FILE", help="The case: what is tested, and how.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Where the bundle goes. [default: beside the case]")
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Only make the plan, to be published first.")] = False,
    stamp: Annotated[
        str | None, typer.Option(metavar="URL", help="Have the plan stamped by this authority (RFC 3161).")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The key to sign with, made if need be. [default: beside the case]"),
    ] = None,
    leads: Annotated[bool, typer.Option("--leads", help="Look for leads too; they are no evidence.")] = False,
    kept: Annotated[
        Path | None, typer.Option("--from", metavar="DATA", help="Make the case from what a gateway kept.")
    ] = None,
    epoch: Annotated[
        str | None, typer.Option(help="With --from: a month of twins, as 2026-11, or the number of a mark's epoch.")
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(metavar="MODEL", help="Of marks: whose tokens, smollm2 or the marked model's folder.")
    ] = "smollm2",
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Make the case from your own texts in two versions each.")
    ] = None,
    about: Annotated[str, typer.Option(metavar="TEXT", help="With --from and --texts: whom the case is about.")] = "",
    json: Json = False,
) -> None:
    """Ask a suspect, blind, and say whether it was trained on what was served, at a known error rate.

    Make a case with --from DATA --epoch MONTH or --texts FILE into the folder of --case; commit to its plan with
    --commit before the suspect is asked; then name the suspect. What it says is kept beside the bundle: run the same
    command again to go on after a stop. Exit 1 if the suspect was trained on what was served, 0 if nothing shows it.
    """
    if case is None:
        raise UsageError("there is no case", remedy="Give --case FILE.", where="--case")
    if kept is not None or texts is not None:
        _make(case, kept, epoch, tokenizer, texts, about, json)
        return
    if suspect is None and not commit:
        raise UsageError("whom shall it ask?", remedy="Name the suspect, or give --commit to make the plan only.")
    _run(suspect, case, out or case.with_suffix(".bundle"), key or case.with_suffix(".key"), stamp, leads, json)


def _make(
    case: Path, data: Path | None, epoch: str | None, tokenizer: str, texts: Path | None, about: str, json: bool
) -> None:
    from spiritsafe.cli.mark import tokenizer_file
    from spiritsafe.prove.gather import CASE, PUBLISH, from_marks, from_texts, from_twins

    if data is not None and texts is not None:
        raise UsageError("--from and --texts exclude each other", remedy="Give one of them.")
    if case.name != CASE:
        raise UsageError(f"a new case is called {CASE}", remedy=f"Give --case FOLDER/{CASE}.", where="--case")
    if data is not None:
        if epoch is None:
            remedy = "Give --epoch: 2026-11 for the twins of that month, 3 for the third epoch of marks."
            raise UsageError("which epoch?", remedy=remedy, where="--epoch")
        if epoch.isdigit():
            made = from_marks(data, int(epoch), case.parent, about, lambda: tokenizer_file(tokenizer))
        else:
            made = from_twins(data, epoch, case.parent, about)
    else:
        assert texts is not None
        made = from_texts(texts, case.parent, about)
    if json:
        emit_json({"case": str(made)})
        return
    typer.echo(f"The case is {made}. Look it over, then commit: spiritsafe prove --case {made} --commit")
    if texts is not None:
        typer.echo(f"Publish what {made.parent / PUBLISH} says, and only after {made.parent / 'commitment.json'}.")


def _run(
    suspect: str | None, path: Path, out: Path, key: Path, stamp: str | None, wants_leads: bool, json: bool
) -> None:
    from spiritsafe.evidence.signing import own_private
    from spiritsafe.prove.bundle import signed, write
    from spiritsafe.prove.conduct import committed, conduct
    from spiritsafe.prove.plan import read_case

    case, folder = read_case(path), path.parent
    work = out.with_name(out.name + ".work")
    plan = committed(case, folder, work)
    if stamp is not None:
        _stamp(stamp, plan.data, work)
    if suspect is None:
        if json:
            emit_json({"plan": plan.digest, "file": str(work / "plan.json"), "made": plan.made})
        else:
            typer.echo(f"The plan is {work / 'plan.json'}; publish its digest before you ask: {plan.digest}")
        return
    signer = own_private(key)
    models = 1 + len(case.controls) + any(test.reference is not None for test in case.tests)
    with progress("ask", models * sum(2 * part.n for part in plan.parts), "questions") as tell:
        done = conduct(
            case,
            folder,
            suspect,
            work,
            leads=_looker(case, folder) if wants_leads else None,
            progress=_counter(tell),
        )
    write(out, signed(done.members, done.plan, done.results.conclusion.verdict, signer))
    _tell(done, out, signer.public.fingerprint, json)
    if done.results.conclusion.verdict == "rejects":
        typer.echo("spiritsafe: found: the suspect was trained on what was served", err=True)
        raise typer.Exit(1)


def _counter(tell: Callable[[int], None]) -> Callable[[int, int], None]:
    """Adds up the questions of one call after another."""
    before = 0

    def count(done: int, of: int) -> None:
        nonlocal before
        tell(before + done)
        before += of if done == of else 0

    return count


def _stamp(url: str, data: bytes, work: Path) -> None:
    from spiritsafe.evidence.timestamp import stamped
    from spiritsafe.prove.bundle import REQUEST, RESPONSE

    if (work / RESPONSE).exists():
        return
    if (work / "said").exists():
        raise InputError(
            "the suspect was asked already: a stamp comes too late", where=str(work), remedy="Begin another --out."
        )
    found = stamped(url, data)
    (work / REQUEST).write_bytes(found.request)
    (work / RESPONSE).write_bytes(found.response)


def _looker(case: Case, folder: Path) -> Callable[[Suspect, Sequence[Suspect]], Sequence[Lead]]:
    """What looks for leads, with the prompts and answers of the first test of twins; its reference is the teacher."""
    from contextlib import closing

    from spiritsafe.protect.twins import read_pairs
    from spiritsafe.prove.leads import leads
    from spiritsafe.prove.leads.types import Material
    from spiritsafe.prove.suspect import open_suspect

    def look(suspect: Suspect, controls: Sequence[Suspect]) -> Sequence[Lead]:
        first = next((test for test in case.tests if test.test == "twins"), None)
        pairs = read_pairs(folder / first.inputs) if first is not None else []
        asked = tuple((pair.messages[-1]["content"], pair.answers[0]) for pair in pairs if pair.messages)
        if first is None or first.reference is None:
            return leads(suspect, controls, Material(asked=asked, names=case.names, seed=case.seed))
        with closing(open_suspect(first.reference)) as teacher:
            return leads(suspect, controls, Material(asked=asked, names=case.names, teacher=teacher, seed=case.seed))

    return look


def _tell(done: Conducted, out: Path, fingerprint: str, json: bool) -> None:
    results, conclusion = done.results, done.results.conclusion
    if json:
        emit_json(
            {
                "verdict": conclusion.verdict,
                "reasons": conclusion.reasons,
                "tests": conclusion.lines,
                "named": conclusion.named,
                "leads": results.leads,
                "plan": done.plan.digest,
                "bundle": str(out),
                "key": fingerprint,
            }
        )
        return
    typer.echo(conclusion.verdict)
    for reason in conclusion.reasons:
        typer.echo(plain(f"- {reason}"))
    rows = [(one.test, f"{one.p_value:.3g}", f"{one.adjusted:.3g}", f"{one.log10_e:.2f}") for one in conclusion.lines]
    emit_table(("test", "p", "corrected", "log10 e"), rows)
    if conclusion.named:
        typer.echo(plain("answers to these were among its training data: " + ", ".join(conclusion.named)))
    for lead in results.leads:
        typer.echo(plain(f"lead, no evidence: {lead.name} {lead.score:.2f}, controls {lead.controls}"))
    typer.echo(f"\nThe bundle is {out}, signed by {fingerprint}. Check it: spiritsafe verify {out}")
