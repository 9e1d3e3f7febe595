"""The newer of two slots counts, and a head that isn't as it was signed is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord
from spiritsafe.record import head, signed
from spiritsafe.record.head import FORMAT, SLOT_BYTES, Head, HeadFile
from spiritsafe.record.keys import Signer

SIGNER = Signer(bytes(32))


def at(number: int, rows: int = 0) -> Head:
    return Head(
        closed=False,
        format=FORMAT,
        key=SIGNER.public.fingerprint,
        link="ab" * 32,
        log="cd" * 16,
        number=number,
        rows=rows,
        time=datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC),
    )


def test_the_newer_slot_counts(tmp_path: Path) -> None:
    path = tmp_path / "head"
    assert head.newest(path, SIGNER.public) is None
    file = HeadFile(path)
    assert head.newest(path, SIGNER.public) is None
    for number in range(1, 5):
        file.write(at(number, rows=10 * number), SIGNER)
        found = head.newest(path, SIGNER.public)
        assert found is not None
        assert found[0] == at(number, rows=10 * number)
        assert head.check(found[1], SIGNER.public, "published") == found[0]
    file.close()
    file = HeadFile(path)
    file.write(at(5), SIGNER)
    file.close()
    assert path.stat().st_size == 2 * SLOT_BYTES
    assert [head.check(slot, SIGNER.public, "slot").number for slot in head.slots(path)] == [4, 5]


def test_the_largest_head_fits_its_slot() -> None:
    largest = at(10**15, rows=2**53)
    assert len(signed.sign(largest, SIGNER)) < SLOT_BYTES


def test_a_damaged_slot_is_named(tmp_path: Path) -> None:
    path = tmp_path / "head"
    file = HeadFile(path)
    file.write(at(1), SIGNER)
    file.write(at(2), SIGNER)
    file.close()
    data = bytearray(path.read_bytes())
    data[SLOT_BYTES + 30] ^= 1
    path.write_bytes(data)
    with pytest.raises(BrokenRecord, match="head, slot 1"):
        head.newest(path, SIGNER.public)
    path.write_bytes(data[:-1])
    with pytest.raises(BrokenRecord, match="length"):
        head.newest(path, SIGNER.public)
