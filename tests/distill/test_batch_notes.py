from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.batch_notes import Note, Notes
from spiritsafe.errors import BrokenRecord


def test_a_note_stands_until_it_is_removed(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "batches")
    assert notes.read() == []
    note = notes.write(Note(mark="m", requests=("a", "b")))
    submitted = notes.write(msgspec.structs.replace(note, batch_id="batch-1"))
    other = notes.write(Note(mark="n", requests=()))
    assert Notes(tmp_path / "batches").read() == [submitted, other]
    notes.remove(submitted)
    notes.remove(submitted)
    assert notes.read() == [other]


def test_a_note_that_cant_be_read_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(BrokenRecord, match=r"m\.json: the note of a batch can't be read"):
        Notes(tmp_path).read()
