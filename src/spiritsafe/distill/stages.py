"""The run's folder is the whole state: one folder a stage, its manifest written last.

A stage is done when its manifest stands, was made from the recipe section and the earlier manifests that stand
now, and its outputs are still what it says. Anything else is done again, after what was there is set aside.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from spiritsafe import __version__
from spiritsafe.distill.recipe import Recipe
from spiritsafe.errors import BrokenRecord, InputError, UsageError

Stage = Literal["terms", "collect", "cache", "curate", "train", "evaluate", "seal"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# What of the recipe each stage reads. Whatever is not listed here can change without making the stage stale.
READS: dict[Stage, tuple[str, ...]] = {
    "terms": ("purpose", "teacher", "prompts"),
    "collect": ("teacher", "prompts", "collect"),
    "cache": ("cache",),
    "curate": ("curate", "evaluate"),
    "train": ("student", "train"),
    "evaluate": ("evaluate",),
    "seal": ("seal",),
}


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished stage made, and from what. All digests are SHA-256 in hex.

    ``seconds`` are of the wall, in all processes that worked at it.
    """

    version: int = 1
    stage: Stage
    code: str
    recipe: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    counts: dict[str, int | float | str]
    seconds: float
    finished: datetime


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def code_digest() -> str:
    """Version and SHA-256 of this package's own Python source: the code that a lineage speaks of."""
    root = Path(__file__).resolve().parent.parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root).as_posix()} {file_digest(path)}\n".encode())
    return f"spiritsafe {__version__} sha256:{total.hexdigest()}"


def write_atomic(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` so that a crash leaves the old file or the new one, never a part of either."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Run:
    """One run of one recipe in one folder."""

    def __init__(self, folder: Path, recipe: Recipe, base: Path) -> None:
        """``base`` is what the recipe's relative paths are relative to."""
        self.folder = folder
        self.recipe = recipe
        self.base = base

    @classmethod
    def start(cls, folder: Path, recipe: Recipe, base: Path, *, resume: bool) -> Run:
        """Open the run's folder; one that holds a run already needs ``resume``."""
        kept = folder / "recipe.json"
        if kept.exists() and not resume:
            raise UsageError(
                "the folder holds a run already",
                remedy="Go on with --resume, or give another --out.",
                where=str(folder),
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, msgspec.json.format(msgspec.json.encode(recipe), indent=1))
        write_atomic(folder / "base.txt", str(base.resolve()).encode())
        return cls(folder, recipe, base)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run that stands in ``folder``, read only."""
        try:
            recipe = msgspec.json.decode((folder / "recipe.json").read_bytes(), type=Recipe)
            base = Path((folder / "base.txt").read_text(encoding="utf-8"))
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError(
                "this is not the folder of a run", remedy="Give the folder that 'distill' wrote.", where=str(folder)
            ) from error
        return cls(folder, recipe, base)

    def path(self, stage: Stage) -> Path:
        """The stage's own folder, made if it is not there."""
        folder = self.folder / stage
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clock(self, stage: Stage) -> Path:
        """Where it is noted how long the unfinished stage took so far."""
        return self.folder / f".{stage}.seconds"

    def find(self, name: str) -> Path:
        """A file that the recipe names, relative to the recipe."""
        return self.base / name

    def section_digest(self, stage: Stage) -> str:
        """SHA-256 of what the stage reads of the recipe."""
        parts = {n: getattr(self.recipe, n) for n in READS[stage]}
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()

    def inputs(self, stage: Stage) -> dict[str, str]:
        """The digests of the manifests of all stages before this one; those that are missing are left out."""
        before = STAGES[: STAGES.index(stage)]
        files = {name: self.folder / name / "manifest.json" for name in before}
        return {name: file_digest(path) for name, path in files.items() if path.exists()}

    def manifest(self, stage: Stage) -> Manifest | None:
        """The manifest that stands, whether or not it still fits."""
        path = self.folder / stage / "manifest.json"
        if not path.exists():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Manifest)
        except msgspec.MsgspecError as error:
            raise BrokenRecord(
                f"the manifest can't be read: {error}",
                remedy="Remove the stage's folder to do it again.",
                where=str(path),
            ) from error

    def stale(self, stage: Stage) -> str | None:
        """Why the stage has to be done (again), in words; None when what stands is right."""
        manifest = self.manifest(stage)
        if manifest is None:
            return "not done yet"
        if manifest.recipe != self.section_digest(stage):
            return f"the recipe's {' or '.join(READS[stage])} has changed"
        inputs = self.inputs(stage)
        changed = [name for name in STAGES if manifest.inputs.get(name) != inputs.get(name) and name in inputs]
        if changed:
            return f"{changed[0]} was done again"
        wrong = differing(self.folder / stage, manifest.outputs)
        return f"{wrong[0]} is not what the stage wrote" if wrong else None

    def set_aside(self, stage: Stage) -> Path | None:
        """Move what a stale stage left out of the way, so that nothing is lost; returns where to."""
        folder = self.folder / stage
        if not (folder / "manifest.json").exists():
            return None
        number = 1
        while (aside := self.folder / f"{stage}.{number}").exists():
            number += 1
        folder.rename(aside)
        self.clock(stage).unlink(missing_ok=True)
        return aside

    def finish(
        self, stage: Stage, outputs: Iterable[Path], counts: Mapping[str, int | float | str], seconds: float
    ) -> Manifest:
        """Write the stage's manifest: from here on it is done. ``outputs`` lie inside the stage's folder."""
        folder = self.path(stage)
        manifest = Manifest(
            stage=stage,
            code=code_digest(),
            recipe=self.section_digest(stage),
            inputs=self.inputs(stage),
            outputs={p.relative_to(folder).as_posix(): file_digest(p) for p in sorted(outputs)},
            counts=dict(counts),
            seconds=round(seconds, 3),
            finished=datetime.now(UTC),
        )
        write_atomic(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        return manifest


def differing(folder: Path, outputs: Mapping[str, str]) -> list[str]:
    """The names in ``outputs`` whose files are missing or have other bytes than their digest says."""
    return [n for n, digest in outputs.items() if not (folder / n).is_file() or file_digest(folder / n) != digest]
