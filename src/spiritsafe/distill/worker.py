"""One of the processes that train a student together: torchrun starts it with the run's folder."""

from __future__ import annotations

import sys
from pathlib import Path

from spiritsafe.distill.device import processes
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.train import fit


class _Silent:
    """The process that started us reads the metrics."""

    def __call__(self, what: str, share: float, left: float | None) -> None:
        pass

    def say(self, line: str) -> None:
        pass


def main(folder: Path) -> None:
    """Train with the others, and leave the group."""
    group = processes()
    try:
        fit(Run.open(folder), _Silent())
    finally:
        group.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
