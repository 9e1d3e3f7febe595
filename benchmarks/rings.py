"""How well rings are found in the traffic simulator's logs, and how many honest accounts are accused.

    python benchmarks/rings.py --traffic ../shared/traffic --seeds 1 2 3 4 5 [--accounts 4000] [--work FOLDER]
    python benchmarks/rings.py --seeds 1 --rings hidden:60:gsm8k_train:0.8:3 --benign kinds.json --no-grants

builds each log with traffic.py, scans it with the shipped policy and no reference, scores it with score.py and prints
a table of false positives by kind (95% Wilson interval over all seeds together) and of each ring. --stop N also lets
the log grow day by day, looks every N days, and prints what each ring had got out by the time it was flagged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from parts.simulated import simulated
from spiritsafe.cli.scan import read_grants
from spiritsafe.detect.features import from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.policy.decide import accuses, decide
from spiritsafe.policy.rules import default
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
    parser.add_argument("--benign", type=Path)
    parser.add_argument("--no-grants", action="store_true", help="leave out what accounts under a grant asked")
    parser.add_argument("--stop", type=int, default=0, help="look after every so many days, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        scores = []
        for seed in given.seeds:
            log = build(given, work / f"s{seed}", seed)
            scores.append(scored(given, log, "traffic"))
            print(line(seed, scores[-1]), flush=True)
            if given.stop:
                for told in stopping(given, log):
                    print(told, flush=True)
        print(table(scores))


def build(given: argparse.Namespace, folder: Path, seed: int) -> Path:
    """The simulator's log of one seed, built once."""
    rings = given.rings or None
    simulated(given.traffic, folder, seed=seed, accounts=given.accounts, rings=rings, benign=given.benign)
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


def stopping(given: argparse.Namespace, folder: Path) -> Iterator[str]:
    """As the log grows day by day: which part of each ring is flagged, and what the ring had got out by then."""
    held = read_grants(folder / "grants.json")
    granted = pl.col("account_id").is_in([grant.account_id for grant in held])
    truth = json.loads((folder / "labels.json").read_text())["accounts"]
    frame = pl.read_parquet(folder / "traffic.parquet").sort("time")
    day = ((pl.col("time") - pl.col("time").min()).dt.total_days() + 1).alias("day")
    watch, rules, sent = Watch(), default(), Counter[str]()
    for (number,), part in frame.with_columns(day).partition_by("day", as_dict=True, maintain_order=True).items():
        watch.learn_batch(from_frame(part.filter(~granted), watch.parts))
        watch.learn_permitted(from_frame(part.filter(granted), frozenset()))
        sent.update(truth[name] for name in part.get_column("account_id").to_list())
        if int(number) % given.stop:
            continue
        found = watch.evaluate_alone(notable=float("-inf"))
        decided = decide(found.findings, held, rules, datetime.now(UTC), tested=found.tested)
        flagged = Counter(truth[name] for name in {a for d in decided if accuses(d.action, rules) for a in d.accounts})
        of = Counter(truth.values())
        rings = (kind for kind in of if kind.startswith("ring:"))
        words = "  ".join(f"{k[5:]} {flagged[k] / of[k]:.2f} after {sent[k]:,}" for k in rings)
        honest = sum(count for kind, count in flagged.items() if not kind.startswith("ring:"))
        yield f"  day {number}: honest {honest}  {words}"


def table(scores: list[Score]) -> str:
    """False positives by kind over all seeds, and each ring's range."""
    wrong: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for score in scores:
        for kind, each in {**score["false_positives"], "all": score["false_positive_rate"]}.items():
            wrong[kind][0] += each["flagged"]
            wrong[kind][1] += each["of"]
    lines = ["", "| honest | flagged | of | 95% interval |", "|---|---|---|---|"]
    for kind, (count, of) in wrong.items():
        low, high = wilson(count, of)
        lines.append(f"| {kind} | {count} | {of:,} | {low:.5f} to {high:.5f} |")
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
