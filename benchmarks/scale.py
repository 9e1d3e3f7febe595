"""A scan by size: CPU seconds a million exchanges, peak memory of all its processes, whether the ring was flagged.

For each of ``--millions`` it makes a log with ``../shared/traffic/traffic.py`` (or takes one that is there), of which
half is a ring of stealth 1 that harvests gsm8k_train, and scans it in a process of its own. ``18`` is
``--accounts 45000 --rings big:24000:gsm8k_train:0.8:1``; making it takes 10 GB. ``--engine ray`` measures Ray beside
it and compares the answers. ``--days`` cuts the smallest log into days and scans them as they would come, with the
partial results kept: what a further day costs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from parts import running

TRAFFIC = Path(__file__).resolve().parents[2] / "shared" / "traffic" / "traffic.py"
LEAN = Path(__file__).resolve().parent / "parts" / "lean.py"
SCAN = "from spiritsafe.cli import main; main()"
TICK = 0.2


@dataclass(frozen=True)
class Scan:
    """One scan: what it said, and what it took."""

    report: dict[str, Any]
    wall: float
    cpu: float
    peak_mb: float


def made(folder: Path, millions: float, seed: int) -> Path:
    """The folder of a log of about so many million exchanges."""
    here = folder / f"scale-{millions:g}"
    if not (here / "traffic.parquet").exists():
        accounts, ring = round(2500 * millions), round(1333.3 * millions)
        command = [sys.executable, str(LEAN), str(TRAFFIC), "--out", str(here), "--seed", str(seed)]
        command += ["--accounts", str(accounts), "--rings", f"big:{ring}:gsm8k_train:0.8:1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return here


def scan(logs: list[Path], *options: str) -> Scan:
    """Run ``spiritsafe scan`` and watch its processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-c", SCAN, "scan", *map(str, logs), "--json", *options]
        process = subprocess.Popen(command, stdout=out, env=environment)
        peak = 0.0
        while process.poll() is None:
            try:
                peak = max(peak, running.memory(running.children(process.pid)))
            except (FileNotFoundError, ProcessLookupError):
                continue  # a process of it ended while it was looked at
            time.sleep(TICK)
        out.seek(0)
        said = out.read()
    if process.returncode not in (0, 1) or not said:
        raise SystemExit(f"the scan ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Scan(json.loads(said), time.perf_counter() - began, cpu, peak)


def judged(report: dict[str, Any], labels: Path) -> str:
    """Members flagged, put on watch, and others flagged."""
    truth = json.loads(labels.read_text())["accounts"]
    decision = {line["account_id"]: line["decision"] for line in report["accounts"]}
    ring = [name for name, kind in truth.items() if kind.startswith("ring:")]
    found = [sum(decision.get(name) == said for name in ring) for said in ("flag", "watch")]
    others = sum(said == "flag" for name, said in decision.items() if not truth[name].startswith("ring:"))
    return f"{found[0] / len(ring):.1%} ({found[1] / len(ring):.1%} watched), others {others}"


def answer(report: dict[str, Any]) -> str:
    """All that was found, without the time it took."""
    return json.dumps({name: value for name, value in report.items() if name != "seconds"}, sort_keys=True)


def sizes(folder: Path, args: argparse.Namespace) -> None:
    """One line a size and engine."""
    print(
        f"{'million':>8}{'engine':>8}{'wall s':>9}{'CPU s':>9}{'CPU s/M':>9}{'peak MB':>9}{'log MB':>8}  ring flagged"
    )
    for millions in args.millions:
        here = made(folder, millions, args.seed)
        log, answers = here / "traffic.parquet", set()
        for engine in dict.fromkeys(("local", args.engine)):
            done = scan(
                [log], "--grants", str(here / "grants.json"), "--engine", engine, "--workers", str(args.workers)
            )
            rows = done.report["exchanges"] / 1e6
            answers.add(answer(done.report))
            print(
                f"{rows:>8.2f}{engine:>8}{done.wall:>9.0f}{done.cpu:>9.0f}{done.cpu / rows:>9.1f}{done.peak_mb:>9.0f}"
                f"{log.stat().st_size / 1e6:>8.0f}  {judged(done.report, here / 'labels.json')}",
                flush=True,
            )
        if args.engine != "local":
            print(f"the answers are {'the same, byte for byte' if len(answers) == 1 else 'DIFFERENT'}")


def day_by_day(folder: Path, args: argparse.Namespace) -> None:
    """What the last day costs with all before it known, and without."""
    here = made(folder, min(args.millions), args.seed)
    days = here / "days"
    days.mkdir(exist_ok=True)
    frame = pl.read_parquet(here / "traffic.parquet").with_columns(day=pl.col("time").dt.ordinal_day())
    for (day,), part in frame.partition_by("day", as_dict=True, include_key=False).items():
        part.write_parquet(days / f"{day:03d}.parquet")
    files = sorted(days.glob("*.parquet"))
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        options = ("--grants", str(here / "grants.json"), "--workers", str(args.workers))
        first = scan(files[:-1], *options, "--partials", kept)
        further, anew = scan(files, *options, "--partials", kept), scan(files, *options)
        size = sum(path.stat().st_size for path in Path(kept).rglob("*") if path.is_file()) / 2e6
    print(
        f"\n{len(files)} days: all but the last {first.cpu:.0f} CPU s; the last, the others known, {further.cpu:.0f};"
        f" all anew {anew.cpu:.0f}; partial results {size:.0f} MB;"
        f" the answers are {'the same' if answer(further.report) == answer(anew.report) else 'DIFFERENT'}"
    )


def main() -> None:
    """Print the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="*", default=[1, 2, 4])
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--days", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where logs are made and kept; else a temporary one")
    args = parser.parse_args()
    if not TRAFFIC.exists():
        print(f"not run: there is no {TRAFFIC}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        sizes(folder, args)
        if args.days:
            day_by_day(folder, args)


if __name__ == "__main__":
    main()
