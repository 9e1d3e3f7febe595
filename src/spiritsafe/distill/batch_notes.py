"""What is on disk about a batch before it is sent and until its answers are: so that none is paid for twice."""

from __future__ import annotations

from pathlib import Path

import msgspec

from spiritsafe.distill.stages import write_atomic
from spiritsafe.errors import BrokenRecord


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a batch: its ``mark``, the digests of its ``requests``, and its id once it is submitted."""

    version: int = 1
    mark: str
    requests: tuple[str, ...]
    batch_id: str | None = None


class Notes:
    """The notes of batches under way, one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> list[Note]:
        """All that stand. Raises BrokenRecord for one that can't be read: a batch may hang on it."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Note))
            except msgspec.MsgspecError as error:
                raise BrokenRecord(
                    f"the note of a batch can't be read: {error}",
                    remedy="Remove it once you are sure that the provider holds no such batch.",
                    where=str(path),
                ) from error
        return found

    def write(self, note: Note) -> Note:
        """Durable when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(note), msgspec.json.encode(note))
        return note

    def remove(self, note: Note) -> None:
        self._path(note).unlink(missing_ok=True)

    def _path(self, note: Note) -> Path:
        return self._folder / f"{note.mark}.json"
