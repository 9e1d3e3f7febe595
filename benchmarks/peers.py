"""Detectors that can be installed, on the same traffic, in one table: who is flagged, by kind of tenant and ring.

The traffic is ``../shared/traffic/traffic.py`` with its defaults (``--accounts`` fewer), or a folder made by it.
honeypotllm is installed into ``.bench/peers`` and scores every request on a clock of its own time, with its defaults.
unmimic's guard runs only where the weights of its encoder are there already: nothing is downloaded for it.
spiritsafe scans the log with its defaults and the grants. An account counts as flagged if it ever was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from parts import running
from parts.simulated import simulated
from spiritsafe.stats.intervals import clopper_pearson

TRAFFIC = Path(__file__).resolve().parents[2] / "shared" / "traffic" / "traffic.py"
HOME = running.HERE.parent / ".bench" / "peers"
PINNED = ("honeypotllm==0.1.3", "greenlet", "unmimic==0.1.0")  # it does not declare greenlet
SCAN = "from spiritsafe.cli import main; main()"


def install() -> str | None:
    """Install the peers; what went wrong, if something did."""
    if (HOME / "bin" / "python").exists():
        return None
    for command in (
        [sys.executable, "-m", "venv", str(HOME)],
        [str(HOME / "bin" / "pip"), "install", "-q", *PINNED],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"can't be installed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    return None


def honeypotllm(folder: Path) -> set[str] | str:
    """The accounts it flags."""
    frame = pl.read_parquet(folder / "traffic.parquet", columns=["account_id", "time", "prompt"]).sort("time")
    seconds = frame.get_column("time").dt.timestamp("us").to_list()
    rows = zip(frame.get_column("account_id").to_list(), seconds, frame.get_column("prompt").to_list(), strict=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        for account, micros, prompt in rows:
            said.write(json.dumps([account, micros / 1e6, prompt]) + "\n")
        said.seek(0)
        command = [str(HOME / "bin" / "python"), str(running.HERE / "parts" / "peer_honeypot.py")]
        done = subprocess.run(command, stdin=said, capture_output=True, text=True, check=False)
    return set(json.loads(done.stdout)) if done.returncode == 0 else f"it ended: {done.stderr.strip().splitlines()[-1]}"


def unmimic(folder: Path) -> set[str] | str:
    """The accounts of which its guard flags a request; its encoder is only looked for on this machine."""
    look = (
        "import os; os.environ['HF_HUB_OFFLINE'] = '1'\n"
        "from unmimic.guards.input.extraction import ExtractionGuard\nExtractionGuard()"
    )
    done = subprocess.run([str(HOME / "bin" / "python"), "-c", look], capture_output=True, text=True, check=False)
    if done.returncode:
        return (
            f"its encoder and its normal prompts would have to be downloaded ({done.stderr.strip().splitlines()[-1]})"
        )
    prompts = folder / "prompts.json"
    frame = pl.read_parquet(folder / "traffic.parquet", columns=["account_id", "prompt"]).unique("prompt")
    prompts.write_text(json.dumps(frame.rows()))
    run = (
        "import json, sys; from unmimic.guards.input.extraction import ExtractionGuard\n"
        "from unmimic.plugins import Context\nguard = ExtractionGuard(); found = set()\n"
        "for account, prompt in json.load(open(sys.argv[1])):\n"
        "    verdict = guard.check({'messages': [{'role': 'user', 'content': prompt}]}, Context())\n"
        "    if verdict.action != 'allow': found.add(account)\n"
        "json.dump(sorted(found), sys.stdout)"
    )
    command = [str(HOME / "bin" / "python"), "-c", run, str(prompts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(json.loads(done.stdout)) if done.returncode == 0 else f"it ended: {done.stderr.strip().splitlines()[-1]}"


def spiritsafe(folder: Path) -> set[str] | str:
    """The accounts that a scan flags."""
    log, grants = folder / "traffic.parquet", folder / "grants.json"
    command = [sys.executable, "-c", SCAN, "scan", str(log), "--grants", str(grants), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        return f"it ended: {done.stderr.strip().splitlines()[-1]}"
    return {line["account_id"] for line in json.loads(done.stdout)["accounts"] if line["decision"] == "flag"}


def row(name: str, found: set[str] | str, took: float, kinds: dict[str, list[str]]) -> str:
    """One line of the table."""
    if isinstance(found, str):
        return f"{name:<13} not run: {found}"
    benign = [account for kind, accounts in kinds.items() if not kind.startswith("ring:") for account in accounts]
    wrong = len(found & set(benign))
    low, high = clopper_pearson(wrong, len(benign))
    shares = "".join(f"{len(found & set(mine)) / len(mine):>9.1%}" for mine in kinds.values())
    return f"{name:<13}{took:>6.0f}{wrong / len(benign):>8.2%} [{low:.2%}, {high:.2%}]{shares}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="a folder that traffic.py made")
    args = parser.parse_args()
    if args.log is None and not TRAFFIC.exists():
        print(f"not run: there is no {TRAFFIC}")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.log or Path(temporary)
        if args.log is None:
            simulated(TRAFFIC.parent, folder, seed=args.seed, accounts=args.accounts)
        kinds: dict[str, list[str]] = {}
        for account, kind in json.loads((folder / "labels.json").read_text())["accounts"].items():
            kinds.setdefault(kind, []).append(account)
        kinds = dict(sorted(kinds.items(), key=lambda pair: (pair[0].startswith("ring:"), pair[0])))
        print(f"{'':<13}{'s':>6}{'benign flagged, 95%':>25}" + "".join(f"{k.split(':')[-1][:8]:>9}" for k in kinds))
        problem = install()
        for name, detector in (("honeypotllm", honeypotllm), ("unmimic", unmimic), ("spiritsafe", spiritsafe)):
            began = time.perf_counter()
            found = problem if problem is not None and name != "spiritsafe" else detector(folder)
            print(row(name, found, time.perf_counter() - began, kinds), flush=True)


if __name__ == "__main__":
    main()
