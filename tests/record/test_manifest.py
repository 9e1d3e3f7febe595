"""A manifest describes a file, and its seal is what the chain holds."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record import manifest, signed
from spiritsafe.record.canonical import FORM
from spiritsafe.record.keys import Signer
from spiritsafe.record.manifest import Manifest, Pruning, Seal

SIGNER = Signer(bytes(32))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(path: Path) -> Manifest:
    seal = Seal(
        earliest=NOW,
        first=5,
        form=FORM,
        latest=NOW,
        link_after="bb",
        link_before="aa",
        log="cc",
        made=NOW,
        previous="",
        rows=3,
        segment=manifest.SEGMENT,
    )
    return Manifest(
        file=manifest.file_entry(path, "name"),
        format=manifest.FORMAT,
        key=SIGNER.public.fingerprint,
        pruned=(),
        seal=seal,
    )


def test_a_file_is_described_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    entry = manifest.file_entry(path, "name")
    digest = hashlib.blake2b(b"abc" * 100_000, digest_size=32, person=b"spiritsafe-file1").hexdigest()
    assert (entry.name, entry.bytes, entry.digest) == ("name", 300_000, digest)


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    wanted = made(path)
    path.write_bytes(signed.sign(wanted, SIGNER))
    assert manifest.check(path, SIGNER.public) == wanted == manifest.peek(path)
    assert wanted.stop == 8
    with pytest.raises(BrokenRecord, match="file: the signature"):
        manifest.check(path, Signer(bytes([1] * 32)).public)


@pytest.mark.parametrize(
    "change", [{"form": "exchange-2:json-sorted:blake2b-256"}, {"segment": "spiritsafe-segment-2"}]
)
def test_rows_of_a_newer_form_say_so(tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    seal = msgspec.structs.replace(made(path).seal, **change)
    path.write_bytes(signed.sign(msgspec.structs.replace(made(path), seal=seal), SIGNER))
    with pytest.raises(InputError, match="this version reads exchange-1:json-sorted"):
        manifest.check(path, SIGNER.public)
    with pytest.raises(InputError, match="newer spiritsafe"):
        manifest.peek(path)


def test_pruning_leaves_the_seal_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    before = made(path)
    after = msgspec.structs.replace(before, pruned=(Pruning(before=NOW, replaced="x", rows=1, time=NOW),))
    assert manifest.seal_digest(after.seal) == manifest.seal_digest(before.seal)
    assert manifest.seal_digest(msgspec.structs.replace(before.seal, rows=4)) != manifest.seal_digest(before.seal)
