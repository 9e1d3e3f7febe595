"""Everything a training run needs to go on as if it had never stopped, on disk in one move."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from transformers import PreTrainedModel

from spiritsafe.errors import BrokenRecord

KEEP = 2


def save(folder: Path, step: int, model: PreTrainedModel, optimizer: Optimizer, elapsed: float) -> Path:
    """Write the state after ``step`` steps to ``folder/step-NNNNNN.pt``; the two newest are kept.

    The file appears whole or not at all, and an older one is removed only when the new one is on disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:06d}.pt"
    part = path.with_suffix(".part")
    state = {
        "step": step,
        "elapsed": elapsed,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
    }
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    for old in existing(folder)[:-KEEP]:
        old.unlink()
    return path


def existing(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest first; parts that a crash left are not among them."""
    return sorted(folder.glob("step-*.pt"))


def restore(folder: Path, model: PreTrainedModel, optimizer: Optimizer) -> tuple[int, float]:
    """Load the newest checkpoint into ``model`` and ``optimizer``; returns its step and the seconds trained, (0, 0.0)
    where there is none. Raises ``BrokenRecord`` for a file that can't be read.
    """
    found = existing(folder)
    if not found:
        return 0, 0.0
    try:
        state: dict[str, Any] = torch.load(found[-1], weights_only=False, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, KeyError, EOFError, OSError, ValueError) as error:
        raise BrokenRecord(
            f"the checkpoint can't be used: {error}",
            remedy="Remove it to go on from the one before, or the whole folder to start again.",
            where=str(found[-1]),
        ) from error
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    return int(state["step"]), float(state["elapsed"])


def discard(folder: Path) -> None:
    """Remove all checkpoints: the trained model stands."""
    shutil.rmtree(folder, ignore_errors=True)
