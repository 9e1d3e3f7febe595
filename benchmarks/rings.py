"""How well rings are found in the traffic simulator's logs, and how many honest accounts are accused.

    python benchmarks/rings.py --traffic ../shared/traffic --seeds 1 2 3 4 5 [--accounts 4000] [--work FOLDER]
    python benchmarks/rings.py --seeds 1 --rings hidden:60:gsm8k_train:0.8:3 --benign kinds.json --no-grants

builds each log with traffic.py, scans it with the shipped policy and no reference, scores it with score.py and prints
a table of false positives by kind (95% Wilson interval over all seeds together) and of each ring. --stop N scans the
first day, the first two days and so on besides, and prints how many exchanges each ring got out before it was flagged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from spiritsafe.stats.intervals import wilson

Score = dict[str, Any]


def main() -> None:
    """Build, scan, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traffic", type=Path, default=Path("../shared/traffic"))
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--accounts", type=int, default=4000)
    parser.add_argument("--rings", nargs="*")
    parser.add_argument("--benign")
    parser.add_argument("--no-grants", action="store_true", help="leave out what accounts under a grant asked")
    parser.add_argument("--stop", type=int, default=0, help="days after which to scan besides, one after the other")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        scores = []
        for seed in given.seeds:
            log = build(given, work / f"s{seed}", seed)
            scores.append(scored(given, log, "traffic"))
            print(line(seed, scores[-1]), flush=True)
            for day in range(1, given.stop + 1):
                print(stopped(given, log, day), flush=True)
    print(table(scores))


def build(given: argparse.Namespace, folder: Path, seed: int) -> Path:
    """The simulator's log of one seed, built once."""
    if not (folder / "traffic.parquet").exists():
        command = [sys.executable, str(given.traffic / "traffic.py"), "--out", str(folder), "--seed", str(seed)]
        command += ["--accounts", str(given.accounts)]
        command += ["--rings", *given.rings] if given.rings else []
        command += ["--benign", given.benign] if given.benign else []
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if given.no_grants:
        held = {grant["account_id"] for grant in json.loads((folder / "grants.json").read_text())}
        path = folder / "ungranted.parquet"
        frame = pl.scan_parquet(folder / "traffic.parquet").filter(~pl.col("account_id").is_in(list(held)))
        frame.sink_parquet(path)
        (folder / "ungranted.json").write_text("[]")
    return folder


def scored(given: argparse.Namespace, folder: Path, name: str) -> Score:
    """Scan a log of the folder and score it."""
    grants = "grants.json"
    if given.no_grants:
        name, grants = "ungranted", "ungranted.json"
    found = folder / f"{name}.scan.json"
    program = str(Path(sys.executable).with_name("spiritsafe"))
    command = [program, "scan", str(folder / f"{name}.parquet"), "--json", "--grants", str(folder / grants)]
    with found.open("w") as out:
        done = subprocess.run(command, check=False, stdout=out, stderr=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the scan of {folder / name} ended with {done.returncode}")
    score = [sys.executable, str(given.traffic / "score.py"), str(folder / "labels.json"), str(found)]
    made: Score = json.loads(subprocess.run(score, check=True, capture_output=True).stdout)
    made["seconds"] = json.loads(found.read_text())["seconds"]
    return made


def line(seed: int, score: Score) -> str:
    """One seed in a line."""
    rings = "  ".join(
        f"{name} {ring['flagged']:.3f} (ring {ring['ring_recall']:.2f}/{ring['ring_precision'] or 0:.2f})"
        for name, ring in score["rings"].items()
    )
    wrong = score["false_positive_rate"]
    return f"seed {seed}: honest {wrong['flagged']}/{wrong['of']}  {rings}  {score['seconds']:.0f} s"


def stopped(given: argparse.Namespace, folder: Path, day: int) -> str:
    """Which part of each ring is flagged when a log ends after some days, and what the ring got out by then."""
    frame = pl.read_parquet(folder / "traffic.parquet")
    begun = frame.get_column("time").min()
    assert begun is not None
    early = frame.filter(pl.col("time") < begun + timedelta(days=day))  # type: ignore[operator]
    early.write_parquet(folder / "early.parquet")
    score = scored(given, folder, "early")
    truth = json.loads((folder / "labels.json").read_text())["accounts"]
    members = pl.DataFrame({"account_id": list(truth), "ring": list(truth.values())})
    sent = dict(early.join(members, on="account_id").group_by("ring").len().iter_rows())
    parts = (f"{n} {ring['flagged']:.2f} after {sent.get(f'ring:{n}', 0):,}" for n, ring in score["rings"].items())
    return f"  {day} days: honest {score['false_positive_rate']['flagged']}  " + "  ".join(parts)


def table(scores: list[Score]) -> str:
    """False positives by kind over all seeds, and each ring's range."""
    wrong: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for score in scores:
        for kind, each in {**score["false_positives"], "all": score["false_positive_rate"]}.items():
            wrong[kind][0] += each["flagged"]
            wrong[kind][1] += each["of"]
    lines = ["", "| honest | flagged | of | 95% interval |", "|---|---|---|---|"]
    for kind, (flagged, of) in wrong.items():
        low, high = wilson(flagged, of)
        lines.append(f"| {kind} | {flagged} | {of:,} | {low:.5f} to {high:.5f} |")
    lines += ["", "| ring | flagged, least and mean | of its best ring: recall | precision |", "|---|---|---|---|"]
    for name in scores[0]["rings"]:
        rings = [score["rings"][name] for score in scores]
        flagged = [float(ring["flagged"]) for ring in rings]
        recall = min(float(ring["ring_recall"]) for ring in rings)
        precision = min(float(ring["ring_precision"] or 0.0) for ring in rings)
        mean = sum(flagged) / len(flagged)
        lines.append(f"| {name} | {min(flagged):.3f}, {mean:.3f} | {recall:.3f} | {precision:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
