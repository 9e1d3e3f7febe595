"""spiritsafe cost: the ledger of a run, or whether a claimed training cost can be true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.distill.claim import Judgement
    from spiritsafe.distill.ledger import Bill, Total
    from spiritsafe.distill.published import Gpu

CLAIM = "claim"
TERA = 1e12


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="cost")(cost)


def cost(
    what: Annotated[str, typer.Argument(metavar="RUN|claim", help="A run's folder, or the word claim.")],
    params_active: Annotated[float | None, typer.Option(help="Parameters that work on each token.")] = None,
    tokens: Annotated[float | None, typer.Option(help="Tokens trained on.")] = None,
    gpu: Annotated[str | None, typer.Option(help="The accelerator, such as h800.")] = None,
    peak: Annotated[float | None, typer.Option(help="Its dense bf16 peak in teraFLOP/s, if it is not known.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many of them.")] = None,
    hours: Annotated[float | None, typer.Option(help="Accelerator hours in all.")] = None,
    price: Annotated[float | None, typer.Option(help="Money for one of those hours.")] = None,
    reported: Annotated[float | None, typer.Option(help="The cost that is claimed.")] = None,
    days: Annotated[float | None, typer.Option(help="Days on the wall that are claimed.")] = None,
    teacher_params: Annotated[float | None, typer.Option(help="If distilled: the teacher's active parameters.")] = None,
    teacher_tokens: Annotated[float | None, typer.Option(help="If distilled: tokens the teacher wrote.")] = None,
    teacher_price: Annotated[float | None, typer.Option(help="If distilled: their price for a million.")] = None,
    teacher_reported: Annotated[float | None, typer.Option(help="If distilled: what training it cost.")] = None,
    as_json: Json = False,
) -> None:
    """What did RUN cost; or, with claim, can a claimed cost be true? Ends with 1 for an implausible claim."""
    if what != CLAIM:
        _run(Path(what), as_json)
        return
    from spiritsafe.distill.claim import Claim, Teacher, judge

    claim = Claim(
        params_active=params_active, tokens=tokens, hours=hours, gpus=gpus, price=price, reported=reported, days=days
    )
    teacher = Teacher(
        params_active=teacher_params,
        tokens=teacher_tokens,
        price_per_million=teacher_price,
        reported=teacher_reported,
    )
    found = judge(claim, _gpu(gpu, peak), teacher)
    if as_json:
        emit_json(found)
    else:
        _show_claim(found)
    if found.verdict == "implausible":
        raise typer.Exit(1)


def _gpu(name: str | None, peak: float | None) -> Gpu | None:
    from spiritsafe.distill.published import Gpu, gpu

    if peak is not None:
        if not peak > 0:
            raise UsageError(f"--peak is {peak}", remedy="Give teraFLOP/s above 0.")
        return Gpu(
            name=name or "accelerator",
            names=[],
            bf16=peak,
            watts=0.0,
            source="given with --peak",
            basis="recollection, unverified",
        )
    return None if name is None else gpu(name)


def _run(folder: Path, as_json: bool) -> None:
    from spiritsafe.distill.ledger import bill, read_ledger

    found = bill(read_ledger(folder))
    if as_json:
        emit_json(found)
    else:
        _show_bill(found)


def _show_claim(found: Judgement) -> None:
    typer.echo(f"{found.verdict}")
    for finding in found.findings:
        typer.echo(f"  - {finding.check}: {finding.outcome}: {finding.because}")
    rows = [
        ("FLOPs (6 x active parameters x tokens)", _big(found.flops)),
        ("accelerator hours", _number(found.hours)),
        ("utilisation of the bf16 peak", _share(found.utilisation)),
        ("utilisation of the fp8 peak", _share(found.utilisation_fp8)),
        ("peak from", found.peak_source),
        ("hours times price", _number(found.money)),
        ("days on the wall", None if found.wall_days is None else f"{found.wall_days:.1f}"),
    ]
    typer.echo("")
    emit_table(("implied", ""), [r for r in rows if r[1] is not None])
    if found.distilled is not None:
        d = found.distilled
        typer.echo("\nIf the model was distilled, its teacher's part has to be counted in:")
        rows = [
            ("FLOPs of the teacher's forward passes", _big(d.flops)),
            ("of the training's FLOPs", _share(d.share_of_training)),
            ("accelerator hours, at least", _number(d.hours)),
            ("money, at least", _number(d.money)),
            ("the teacher's own training", _number(d.teacher_training)),
            ("in all", _number(d.total)),
            ("times what was reported", None if d.times_reported is None else f"{d.times_reported:.2f}"),
        ]
        emit_table(("teacher", ""), [r for r in rows if r[1] is not None])
        for assumption in d.assumed:
            typer.echo(f"  assumed: {assumption}")
    typer.echo("\nIt leaves out:")
    for line in found.left_out:
        typer.echo(f"  - {line}")


def _show_bill(found: Bill) -> None:
    columns = ("stage", "hours", "tokens in", "tokens out", "trained on", "TFLOPs", "kWh", "money", "reused")
    emit_table(columns, [_row(s, t) for s, t in found.stages.items()] + [_row("all", found.total)])
    typer.echo(f"\nEnergy assumes {found.energy_assumption}.")
    if found.of_from_nothing is not None:
        typer.echo(
            f"Training the same student from nothing, on 20 tokens a parameter, takes {_big(found.from_nothing_flops)} "
            f"FLOPs; this run took {_share(found.of_from_nothing)} of that."
        )
    known = found.teacher_published
    if known is not None and found.of_teacher_flops:
        times = 1 / found.of_teacher_flops
        typer.echo(f"Training its teacher took {times:,.0f} times the FLOPs of this run ({known.source}).")
    if known is not None and known.reported is not None:
        typer.echo(f"Training its teacher is reported at {known.reported:,.0f} USD ({known.source}).")


def _row(name: str, t: Total) -> tuple[object, ...]:
    money = ", ".join(f"{v:,.2f} {c}" for c, v in t.money.items()) or "0"
    return (
        name,
        f"{t.seconds / 3600:.3f}",
        f"{t.tokens_in:,}",
        f"{t.tokens_out:,}",
        f"{t.tokens_trained:,}",
        f"{t.flops / TERA:,.1f}",
        f"{t.kwh:.3f}",
        money,
        t.reused,
    )


def _big(value: float | None) -> str | None:
    return None if value is None else f"{value:.3e}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}" if value >= 0.001 else f"{value:.2e}"
