"""Logs of the traffic simulator, ``traffic.py``: a folder each, with the log, its labels and its grants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def simulated(
    traffic: Path,
    folder: Path,
    *,
    seed: int,
    accounts: int,
    rings: Sequence[str] | None = None,
    benign: Path | None = None,
) -> Path:
    """The folder of one log, made by the simulator in the folder ``traffic`` unless it is there. Without ``rings`` or
    ``benign`` those are the simulator's own; empty ``rings`` are none.
    """
    if not (folder / "traffic.parquet").exists():
        given: list[object] = ["--out", folder, "--seed", seed, "--accounts", accounts]
        given += [] if benign is None else ["--benign", benign]
        given += [] if rings is None else ["--rings", *rings]
        command = [sys.executable, str(traffic / "traffic.py"), *map(str, given)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder
