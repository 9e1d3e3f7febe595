from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from spiritsafe.distill.stopwatch import Stopwatch, before


def test_the_seconds_of_all_processes_add_up(tmp_path: Path) -> None:
    now = [100.0]
    for ran in (7.0, 5.0):
        watch = Stopwatch(tmp_path / "kept", every=3600.0, clock=lambda: now[0])
        with watch:
            now[0] += ran
    assert watch.seconds == before(tmp_path / "kept") == 12.0


def test_a_stage_that_fails_took_its_time_as_well(tmp_path: Path) -> None:
    now = [0.0]
    with contextlib.suppress(ValueError), Stopwatch(tmp_path / "kept", every=3600.0, clock=lambda: now[0]):
        now[0] += 3.0
        raise ValueError
    assert before(tmp_path / "kept") == 3.0


def test_what_a_killed_process_had_spent_is_kept(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, sys, time\n"
        "from spiritsafe.distill.stopwatch import Stopwatch, before\n"
        "kept = pathlib.Path(sys.argv[1])\n"
        "with Stopwatch(kept, every=0.01):\n"
        "    while before(kept) < 0.05:\n"
        "        time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "kept")], timeout=200, check=False)
    assert done.returncode == -9
    assert before(tmp_path / "kept") >= 0.05


@pytest.mark.parametrize("kept", ["", "soon"])
def test_a_note_that_can_t_be_read_is_none(tmp_path: Path, kept: str) -> None:
    assert before(tmp_path / "nowhere") == 0.0
    (tmp_path / "kept").write_text(kept)
    assert before(tmp_path / "kept") == 0.0
