"""Whatever is changed, removed, moved or signed by somebody else is found, and the first wrong place is named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import InputError
from spiritsafe.record import head as heads
from spiritsafe.record import manifest, segment, signed
from spiritsafe.record import verify as module
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.keys import Signer, read_secret
from spiritsafe.record.layout import head_path, journal_path, public_path
from spiritsafe.record.log import SealedLog, prune, read
from spiritsafe.record.verify import Finding, verify

Make = Callable[..., Exchange]
Fill = Callable[..., Path]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No writer is at work here: what looks wrong need not be looked at again for long."""
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def wrong(folder: Path, **options: object) -> Finding:
    found = verify(folder, **options)  # type: ignore[arg-type]
    assert found.verdict == "broken"
    assert found.problem is not None
    return found.problem


def flip(path: Path, at: int, bit: int = 0x01) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(data)


def published(folder: Path) -> bytes:
    public = Signer(read_secret(folder.parent / "keys" / "record.key")).public
    found = heads.newest(head_path(folder), public)
    assert found is not None
    return found[1]


def test_an_untouched_log_is_intact(fill: Fill) -> None:
    folder = fill(12, rolls=(5, 9))
    found = verify(folder)
    assert found.problem is None
    assert (found.verdict, found.rows, found.signed, found.segments, found.journals) == ("intact", 12, 12, 2, 1)
    assert (found.pruned, found.notes) == (0, ())
    with SealedLog.open(folder) as log:
        assert found.link == log.head.hex()


def test_an_empty_log_is_intact_and_none_is_none(fill: Fill, tmp_path: Path) -> None:
    assert verify(fill(0)).verdict == "intact"
    with pytest.raises(InputError, match="no record"):
        verify(tmp_path / "none")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert wrong(empty).message == "the public key is missing"


def test_progress_is_told(fill: Fill) -> None:
    told: list[tuple[int, int]] = []
    verify(fill(12, rolls=(5,)), progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (12, 12)
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("key.pub", 1),
        ("head", 2),
        ("segment-000000000000.json", 3),
        ("segment-000000000005.json", 3),
        ("segment-000000000005.parquet", 5),
        ("journal-000000000009.log", 6),
    ],
)
def test_a_changed_byte_in_any_file_is_found(fill: Fill, name: str, step: int) -> None:
    path = fill(12, rolls=(5, 9)) / name
    data = path.read_bytes()
    used = [at for at in range(len(data)) if name != "head" or data[at : at + 2] != b"\0\0"]
    sampled = random.Random(name).sample(used, min(len(used), 60))
    for at in sampled:
        flip(path, at, 0x20)
        problem = wrong(path.parent)
        assert problem.step in (step, 4 if step == 5 else step, 7 if step == 6 else step), (at, problem)
        if step > 2 or name == "key.pub":
            assert problem.where.startswith((name, "segment ")), (at, problem)
        path.write_bytes(data)
    assert verify(path.parent).verdict == "intact"


def test_a_changed_row_is_named_in_the_journal(fill: Fill) -> None:
    folder = fill(12, rolls=(5,))
    path = journal_path(folder, 5)
    data = path.read_bytes()
    flip(path, data.index(b"It is 16."))
    problem = wrong(folder)
    assert (problem.step, problem.where, problem.row) == (6, path.name, 8)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("completion", "It is 15.", "its content is not what was committed to"),
        ("system", None, "its content is not what was committed to"),
        ("salt", bytes(16), "its content is not what was committed to"),
        ("account_id", "somebody", "it is not as it was written"),
        ("prompt_tokens", None, "it is not as it was written"),
        ("time", datetime(2026, 1, 1, tzinfo=UTC), "it is not as it was written"),
        ("commitment", bytes(32), "its content is not what was committed to"),
        ("pruned", True, "its content is missing although the segment was never pruned"),
        ("row", 8, "row 7 is missing or out of order"),
        ("mark", bytes(8), "it is not as it was written"),
    ],
)
def test_a_changed_row_is_named_in_a_segment(fill: Fill, column: str, value: object, message: str) -> None:
    folder = fill(12, rolls=(5, 12))
    rewrite(folder / "segment-000000000005.parquet", lambda table: table[column].__setitem__(2, value))
    problem = wrong(folder)
    assert (problem.step, problem.where, problem.row) == (5, "segment-000000000005.parquet", 7)
    assert problem.message == message


def rewrite(path: Path, change: Callable[[dict[str, list[object]]], object]) -> None:
    [table] = segment.read_tables(path)
    change(table)
    writer = segment.Writer(path)
    writer.add(table)
    writer.close()


def drop_row(at: int) -> Callable[[dict[str, list[object]]], object]:
    return lambda table: [column.pop(at) for column in table.values()]


def test_rows_removed_from_a_segment_are_named(fill: Fill) -> None:
    folder = fill(12, rolls=(12,))
    path = folder / "segment-000000000000.parquet"
    rewrite(path, drop_row(4))
    assert (wrong(folder).row, wrong(folder).where) == (4, path.name)
    rewrite(path, drop_row(10))
    rewrite(path, lambda table: [column.__delitem__(slice(4, None)) for column in table.values()])
    problem = wrong(folder)
    assert (problem.step, problem.message) == (5, "its rows are not those that were sealed")


def test_a_segment_rewritten_with_the_same_rows_is_found(fill: Fill) -> None:
    folder = fill(12, rolls=(12,))
    path = folder / "segment-000000000000.parquet"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"parquet-cpp", b"parquet-cqq"))
    problem = wrong(folder)
    assert problem.step == 4
    assert "outside of any row" in problem.message


@pytest.mark.parametrize(
    ("gone", "where"),
    [
        (("segment-000000000000.json", "segment-000000000000.parquet"), "segment 4"),
        (("segment-000000000004.json", "segment-000000000004.parquet"), "segment 8"),
        (("segment-000000000008.json", "segment-000000000008.parquet"), "journal-000000000010.log"),
        (("segment-000000000004.parquet",), "segment-000000000004.parquet"),
        (("journal-000000000010.log",), "head"),
        (("segment-000000000008.json", "segment-000000000008.parquet", "journal-000000000010.log"), "head"),
    ],
)
def test_removed_files_are_found(fill: Fill, gone: tuple[str, ...], where: str) -> None:
    folder = fill(12, rolls=(4, 8, 10))
    for name in gone:
        (folder / name).unlink()
    problem = wrong(folder)
    assert problem.where == where
    assert "missing" in problem.message


def test_swapped_segments_are_found(fill: Fill) -> None:
    folder = fill(12, rolls=(4, 8, 12))
    one, two = folder / "segment-000000000004.json", folder / "segment-000000000008.json"
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    assert wrong(folder).step == 3


def test_a_missing_head_is_found(fill: Fill) -> None:
    folder = fill(12, rolls=(4,))
    head_path(folder).unlink()
    assert wrong(folder).message == "the signed head is missing"


def test_rows_cut_off_the_end_are_found(fill: Fill) -> None:
    folder = fill(12, rolls=(4,))
    path = journal_path(folder, 4)
    data = path.read_bytes()
    for cut in (len(data) - 1, len(data) // 2, 512):
        path.write_bytes(data[:cut])
        problem = wrong(folder)
        assert problem.step == 7
        assert problem.row is not None
        assert problem.row < 12
        assert f"rows {problem.row} to 11 are missing" in problem.message


def test_a_swapped_public_key_is_found(fill: Fill) -> None:
    folder = fill(3)
    other = Signer(bytes([7] * 32))
    public_path(folder).write_text(other.public.text)
    assert wrong(folder).message == "the public key is not the private key's"
    (folder.parent / "keys" / "record.key").unlink()
    assert wrong(folder).step == 2
    assert "not by the key" in wrong(folder).message


def test_a_log_signed_anew_needs_a_witness(fill: Fill, tmp_path: Path) -> None:
    """Whoever has the folder and makes a key of his own is found by the fingerprint, or by a head of before."""
    folder = fill(6, rolls=(3,))
    fingerprint, witness = verify(folder).key, published(folder)
    forged = tmp_path / "forged" / "record"
    with SealedLog.open(forged, pace=0.0) as log:
        for _, exchange in read(folder):
            log.append(exchange).result()
    shutil.rmtree(forged.parent / "keys")
    found = verify(forged)
    assert found.verdict == "intact"
    assert any("--key" in note for note in found.notes)
    assert wrong(forged, key=fingerprint).step == 1
    assert wrong(forged, heads=[witness]).step == 8
    assert verify(folder, key=fingerprint.upper(), heads=[witness, witness + b"\n"]).verdict == "intact"


def test_an_older_state_put_back_needs_a_witness(fill: Fill, tmp_path: Path) -> None:
    folder = fill(6, rolls=(3,))
    shutil.copytree(tmp_path / "data", tmp_path / "older")
    fill(9)
    witness = published(folder)
    older = tmp_path / "older" / "record"
    assert verify(older).verdict == "intact"
    problem = wrong(older, heads=[witness])
    assert (problem.step, problem.where, problem.row) == (8, "published head 1", 6)
    assert "rows 6 to 8 are missing" in problem.message
    assert verify(folder, heads=[published(older), witness]).verdict == "intact"


def test_a_foreign_head_is_no_witness(fill: Fill, tmp_path: Path) -> None:
    folder = fill(3)
    signer = Signer(read_secret(folder.parent / "keys" / "record.key"))
    mine = heads.check(published(folder), signer.public, "head")
    for change in ({"log": "00" * 16}, {"link": "00" * 32}):
        other = signed.sign(msgspec.structs.replace(mine, **change), signer)
        assert wrong(folder, heads=[other]).step == 8
    assert wrong(folder, heads=[b"nonsense"]).step == 8


def test_what_a_crash_leaves_is_noted_not_blamed(fill: Fill, tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, pace=0.0) as log:
        log.append(make(0)).result()
        log.roll()
        for number in range(1, 4):
            log.append(make(number)).result()
        crashed = tmp_path / "crashed" / "record"
        shutil.copytree(tmp_path / "data", tmp_path / "crashed")
    path = journal_path(crashed, 1)
    end = journal_path(folder, 1).stat().st_size
    data = path.read_bytes()
    path.write_bytes(data[: end - 40] + bytes(len(data) - end + 40))
    shutil.copy(journal_path(folder, 1), journal_path(crashed, 0))
    (crashed / "segment-000000000000-9.parquet").write_bytes(b"")
    found = verify(crashed)
    assert (found.verdict, found.rows) == ("intact", 3)
    assert len(found.notes) == 4
    assert any("incomplete from byte" in note for note in found.notes)


def test_pruned_rows_are_counted(fill: Fill, make: Make) -> None:
    folder = fill(12, rolls=(5, 12))
    prune(folder, make(3).time + timedelta(seconds=1))
    found = verify(folder)
    assert (found.verdict, found.pruned, found.rows) == ("intact", 4, 12)


def test_content_removed_without_a_pruning_is_found(fill: Fill, make: Make) -> None:
    folder = fill(12, rolls=(5, 12))

    def strip(table: dict[str, list[object]]) -> None:
        for name in ("completion", "messages", "system", "salt"):
            table[name][0] = None
        table["pruned"][0] = True

    rewrite(folder / "segment-000000000000.parquet", strip)
    problem = wrong(folder)
    assert (problem.row, problem.where) == (0, "segment-000000000000.parquet")


def test_a_newer_log_says_so(fill: Fill) -> None:
    folder = fill(3, rolls=(3,))
    signer = Signer(read_secret(folder.parent / "keys" / "record.key"))
    path = folder / "segment-000000000000.json"
    made = manifest.check(path, signer.public)
    path.write_bytes(signed.sign(msgspec.structs.replace(made, format="spiritsafe-manifest-2"), signer))
    with pytest.raises(InputError, match="form spiritsafe-manifest-2"):
        verify(folder)
    seal = msgspec.structs.replace(made.seal, segment="spiritsafe-segment-2")
    path.write_bytes(signed.sign(msgspec.structs.replace(made, seal=seal), signer))
    with pytest.raises(InputError, match="spiritsafe-segment-2"):
        verify(folder)
