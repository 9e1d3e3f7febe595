"""Running the code of an answer against the tests that came with its prompt, in a process with limits.

The limits stop accidents: endless loops, memory, large files, left-over children, and (where the system lets us
make a network namespace) the network. They are no wall against code that attacks the kernel: run answers of an
untrusted teacher on a machine that holds nothing else.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from spiritsafe.distill.verifiers.types import Verdict

MEMORY_BYTES = 1 << 30
FILE_BYTES = 1 << 24
PROCESSES = 64

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)


def code_of(answer: str) -> str:
    """The answer's code: its fenced Python blocks one after the other, or all of it where there is no fence."""
    blocks = _FENCE.findall(answer)
    return "\n\n".join(blocks) if blocks else answer


@cache
def _without_network() -> tuple[str, ...]:
    """The prefix of a command that runs it without any network, empty where this system does not let us."""
    if shutil.which("unshare") is None:
        return ()
    for prefix in (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net")):
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return ()


class Code:
    """Right when ``known`` (Python tests: asserts) passes after the answer's code, within ``seconds``."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._seconds = seconds

    def _limit(self) -> None:
        cpu = int(self._seconds) + 1
        for what, most in (
            (resource.RLIMIT_CPU, cpu),
            (resource.RLIMIT_AS, MEMORY_BYTES),
            (resource.RLIMIT_FSIZE, FILE_BYTES),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, 64),
        ):
            resource.setrlimit(what, (most, most))
        if os.getuid() != 0:  # the system counts a user's processes, and never root's
            resource.setrlimit(resource.RLIMIT_NPROC, (PROCESSES, PROCESSES))

    def __call__(self, prompt: str, answer: str, known: str) -> Verdict:
        with tempfile.TemporaryDirectory(prefix="spiritsafe-code-") as folder:
            program = Path(folder) / "answer.py"
            program.write_text(f"{code_of(answer)}\n\n{known}\n", encoding="utf-8")
            command = [*_without_network(), sys.executable, "-I", "-S", "-B", str(program)]
            # Errors go to a file: a pipe would stay open, and be waited for, as long as any left-over child lives.
            errors = Path(folder) / "errors.txt"
            with errors.open("wb") as sink:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env={"PATH": os.defpath, "HOME": folder, "TMPDIR": folder},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=sink,
                    start_new_session=True,
                    preexec_fn=self._limit,  # noqa: PLW1509 (limits must be set in the child; it takes no lock)
                )
            try:
                status = process.wait(timeout=self._seconds)
            except subprocess.TimeoutExpired:
                return Verdict(False, f"did not end within {self._seconds:g} s")
            finally:
                self._end(process)
            said = errors.read_text(encoding="utf-8", errors="replace").strip()
        if status == 0:
            return Verdict(True, "its tests pass")
        return Verdict(False, f"exit {status}: {said.rsplit(chr(10), 1)[-1][:200] or 'no message'}")

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """End the whole group, so that nothing the code started outlives it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
