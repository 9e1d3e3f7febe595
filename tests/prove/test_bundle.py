from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord, InputError, ResourceError
from spiritsafe.prove.bundle import decoded, is_bundle, packed, unpacked, write

CONTENTS = {"plan.json": b"{}", "said/0/0": b"line\n", "inputs/0": bytes(range(256))}


def test_the_same_members_give_the_same_bytes_in_any_order() -> None:
    assert packed(CONTENTS) == packed(dict(reversed(CONTENTS.items())))
    with zipfile.ZipFile(io.BytesIO(packed(CONTENTS))) as archive:
        assert archive.namelist() == sorted(CONTENTS)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}(/[a-z0-9]{1,4}){0,2}", fullmatch=True), st.binary(max_size=200)))
def test_members_come_back(tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    write(path, contents)
    assert unpacked(path) == contents


def test_any_byte_changed_is_noticed_even_between_the_members(tmp_path: Path) -> None:
    data = packed(CONTENTS)
    path = tmp_path / "b"
    silent = []
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            if unpacked(path) == CONTENTS:
                silent.append(at)
        except BrokenRecord:
            pass
    assert not silent


@pytest.mark.parametrize("extra", [b"x", b"PK\x05\x06"])
def test_bytes_before_or_after_are_noticed(tmp_path: Path, extra: bytes) -> None:
    for data in (extra + packed(CONTENTS), packed(CONTENTS) + extra, packed(CONTENTS)[:-3], b"", b"PK\x03\x04"):
        (tmp_path / "b").write_bytes(data)
        with pytest.raises(BrokenRecord):
            unpacked(tmp_path / "b")


def test_a_compressed_archive_is_not_ours(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plan.json", b"{}" * 100)
    with pytest.raises(BrokenRecord, match="the archive itself was changed, first at byte"):
        unpacked(tmp_path / "b")


def test_it_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    write(tmp_path / "b", CONTENTS)
    (tmp_path / "c").write_bytes(b"text")
    assert is_bundle(tmp_path / "b")
    assert not is_bundle(tmp_path / "c")
    assert not is_bundle(tmp_path)


def test_files_that_can_not_be_read_or_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        unpacked(tmp_path / "none")
    with pytest.raises(ResourceError, match="can't be written"):
        write(tmp_path / "none" / "b", CONTENTS)
    with pytest.raises(BrokenRecord, match=r"plan\.json: it can't be read"):
        decoded({"plan.json": b"{"}, "plan.json", dict)
