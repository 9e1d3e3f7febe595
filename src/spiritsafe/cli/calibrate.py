"""``spiritsafe calibrate``: a reference from one's own traffic, with its measured false alarm rate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from spiritsafe.cli.output import Json, emit_json, emit_table
from spiritsafe.cli.progress import progress
from spiritsafe.cli.scan import read_grants
from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.detect.alarms import Calibrated


class RateLine(msgspec.Struct, frozen=True, kw_only=True):
    """How often accounts of a kind, unseen before, on later days, were thought strange; ``kind`` may be ``all``."""

    kind: str
    since: str
    until: str
    tested: int
    alarms: int
    interval: tuple[float, float]


class CalibrateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a calibration made. ``level`` is the rate that alarms should keep under."""

    reference: str
    digest: str
    accounts: int
    kinds: dict[str, int]
    made: str
    expires: str
    contamination: float
    suspicious: int
    left_out: int
    level: float
    alarms: list[RateLine]
    because: list[str]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("calibrate")(calibrate)


def calibrate(
    logs: Annotated[list[str], typer.Argument(metavar="LOG...", help="Parquet files, patterns, or data folders.")],
    out: Annotated[Path, typer.Option(help="Where the reference goes; the gateway reads DATA/reference.")] = Path(
        "reference"
    ),
    grants: Annotated[Path | None, typer.Option(help="Permits to distil: a JSON list.")] = None,
    contamination: Annotated[float, typer.Option(help="The share of accounts that may be harvesting.")] = 0.02,
    days: Annotated[int, typer.Option(help="After how many days the reference expires.")] = 90,
    level: Annotated[float, typer.Option(help="The rate of alarms that is measured.")] = 0.01,
    json: Json = False,
) -> None:
    """Make a reference of one's own traffic, and measure how often it would alarm about honest accounts.

    The reference holds statistics and no text. Members of rings that show in the log are left out, up to the stated
    share. The rate is that of a trial on the log's later days and on accounts that the trial's reference had not seen.
    """
    from spiritsafe.detect import alarms
    from spiritsafe.detect.log import open_log

    for name, value, top in (("--contamination", contamination, 0.5), ("--level", level, 0.5)):
        if not 0.0 <= value < top:
            raise UsageError(f"{name} {value} is out of range", remedy=f"Give a share from 0 to less than {top}.")
    if days < 1:
        raise UsageError(f"--days {days} is no time", remedy="Give 1 or more.")
    permits = [] if grants is None else read_grants(grants)
    log = open_log(logs)
    with progress("calibrate", log.rows, "exchanges") as tell:
        made = alarms.calibrate(
            log,
            made=datetime.now(UTC),
            source=", ".join(Path(name).name for name in logs),
            lasts=timedelta(days=days),
            contamination=contamination,
            grants=permits,
            level=level,
            report=tell,
        )
    made.reference.save(out)
    report = _report(made, out, level)
    if json:
        emit_json(report)
    else:
        _print(report)


def _report(made: Calibrated, out: Path, level: float) -> CalibrateReport:
    reference = made.reference
    lines = [
        RateLine(
            kind=alarm.kind or "all",
            since=f"{alarm.since:%Y-%m-%d}",
            until=f"{alarm.until:%Y-%m-%d}",
            tested=alarm.tested,
            alarms=alarm.alarms,
            interval=alarm.interval(),
        )
        for alarm in reference.alarms
    ]
    because = [reference.because()]
    if made.suspicious > reference.left_out:
        because.append(
            f"{made.suspicious} accounts look like members of rings, more than the stated share allows:"
            f" {reference.left_out} were left out; scan the log, or state a larger --contamination"
        )
    return CalibrateReport(
        reference=str(out),
        digest=reference.digest(),
        accounts=reference.accounts,
        kinds={kind.name: kind.accounts for kind in reference.kinds},
        made=f"{reference.made:%Y-%m-%d}",
        expires=f"{reference.expires:%Y-%m-%d}",
        contamination=reference.contamination,
        suspicious=made.suspicious,
        left_out=reference.left_out,
        level=level,
        alarms=lines,
        because=because,
    )


def _print(report: CalibrateReport) -> None:
    emit_table(
        ("kind", "accounts", "since", "until", "tested", "alarms", "rate", "95% interval"),
        [
            (
                line.kind,
                report.accounts if line.kind == "all" else report.kinds.get(line.kind, 0),
                line.since,
                line.until,
                line.tested,
                line.alarms,
                f"{line.alarms / line.tested:.2%}" if line.tested else "-",
                f"{line.interval[0]:.2%} to {line.interval[1]:.2%}",
            )
            for line in report.alarms
        ],
    )
    typer.echo(
        f"{report.reference}: {report.accounts} accounts of {len(report.kinds)} kinds, expires {report.expires};"
        f" alarms should keep under {report.level:.1%}; {'; '.join(report.because)}."
    )
