"""Names say what a file is and where its rows begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.errors import InputError
from spiritsafe.record import layout


def test_files_are_found_by_name(tmp_path: Path) -> None:
    names = [
        layout.journal_path(tmp_path, 7).name,
        layout.manifest_path(tmp_path, 0).name,
        layout.segment_name(0),
        layout.segment_name(0, 3),
        "segment-000000000000.parquet.tmp",
        "journal-7.log",
        "head",
        "notes.txt",
    ]
    for name in names:
        (tmp_path / name).touch()
    found = layout.layout(tmp_path)
    assert found.journals == {7: tmp_path / "journal-000000000007.log"}
    assert found.manifests == {0: tmp_path / "segment-000000000000.json"}
    assert found.files == {"segment-000000000000.parquet", "segment-000000000000-3.parquet"}


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record"):
        layout.layout(tmp_path / "none")


def test_a_person_may_name_the_data_folder_or_the_record(tmp_path: Path) -> None:
    record = tmp_path / "record"
    assert layout.record_folder(tmp_path) == record
    record.mkdir()
    assert layout.record_folder(tmp_path) == record
    assert layout.record_folder(record) == record
    assert layout.signing_key_path(record) == tmp_path / "keys" / "record.key"
    assert {layout.head_path(record).name, layout.public_path(record).name, layout.lock_path(record).name} == {
        "head",
        "key.pub",
        "lock",
    }
