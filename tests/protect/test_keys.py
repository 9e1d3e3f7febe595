from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from spiritsafe.errors import BrokenRecord, InputError, ResourceError, UsageError
from spiritsafe.protect.keys import Keyring, key_of, opens

MARK = "kgw-k1-g0.25-d2"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def test_nothing_is_written_before_the_first_commitment(keyring: Keyring, tmp_path: Path) -> None:
    assert keyring.commitments() == ()
    with pytest.raises(UsageError, match="no key was committed"):
        keyring.key()
    assert list(tmp_path.iterdir()) == []


def test_the_root_is_drawn_once_and_readable_by_its_owner_alone(keyring: Keyring, tmp_path: Path) -> None:
    keyring.commit(MARK)
    root = tmp_path / "keys" / "marks.root"
    first = root.read_bytes()
    keyring.commit(MARK)
    assert root.read_bytes() == first
    assert stat.S_IMODE(root.stat().st_mode) == 0o600


def test_keys_come_by_hkdf_from_the_root(keyring: Keyring, tmp_path: Path) -> None:
    keyring.commit(MARK)
    root = bytes.fromhex((tmp_path / "keys" / "marks.root").read_text())

    def hkdf(secret: bytes, info: bytes) -> bytes:
        return HKDF(SHA256(), 32, b"spiritsafe marks 1", info).derive(secret)

    epoch = hkdf(root, b'["epoch",1,"kgw-k1-g0.25-d2"]')
    assert keyring.epoch_secret(1) == epoch
    assert keyring.key().secret == hkdf(epoch, b'["key",null]')
    assert keyring.key(tenant="acme").secret == hkdf(epoch, b'["key","acme"]')
    assert keyring.key().sip == tuple(int.from_bytes(keyring.key().secret[i : i + 8], "little") for i in (0, 8))


def test_every_epoch_and_tenant_has_a_key_of_its_own(keyring: Keyring) -> None:
    for _ in range(3):
        keyring.commit(MARK)
    keys = {keyring.key(epoch, tenant).secret for epoch in (1, 2, 3) for tenant in (None, "", "a", "b")}
    assert len(keys) == 12


def test_the_newest_epoch_is_the_one_in_force(keyring: Keyring) -> None:
    keyring.commit(MARK, NOON)
    keyring.commit("gumbel-k2", NOON + timedelta(days=30))
    assert keyring.key().mark_id == "gumbel-k2@2"
    assert keyring.key(1).mark_id == f"{MARK}@1"
    assert [each.epoch for each in keyring.epochs()] == [1, 2]


def test_commitments_open_to_their_secret_and_to_no_other(keyring: Keyring, tmp_path: Path) -> None:
    keyring.commit(MARK)
    root, epoch = keyring.commitments()
    assert (root.kind, epoch.kind) == ("root", "epoch")
    assert opens(epoch, keyring.epoch_secret(1))
    assert not opens(epoch, bytes(32))
    assert opens(root, bytes.fromhex((tmp_path / "keys" / "marks.root").read_text()))


def test_an_expert_who_is_shown_an_epoch_gets_its_keys_and_no_more(keyring: Keyring) -> None:
    keyring.commit(MARK)
    keyring.commit(MARK)
    shown = keyring.epoch_secret(1)
    assert key_of(shown, MARK, 1, "acme") == keyring.key(1, "acme")
    assert key_of(shown, MARK, 2) != keyring.key(2)


def test_a_printed_key_shows_no_secret(keyring: Keyring) -> None:
    keyring.commit(MARK)
    key = keyring.key()
    assert repr(key.secret) not in repr(key)
    assert key.secret.hex() not in repr(key)


def test_the_file_to_publish_holds_no_secret_and_each_line_names_the_one_before(keyring: Keyring) -> None:
    keyring.commit(MARK, NOON)
    keyring.commit(MARK, NOON)
    data = keyring.path.read_bytes()
    lines = data.splitlines(keepends=True)
    assert len(lines) == 3
    assert [msgspec.json.decode(line)["before"] for line in lines] == [
        "0" * 64,
        *(hashlib.sha256(line).hexdigest() for line in lines[:-1]),
    ]
    for secret in (keyring.epoch_secret(1), keyring.key().secret):
        assert secret.hex().encode() not in data


@pytest.mark.parametrize("place", [5, 120, 400, -3])
def test_a_changed_line_is_named(keyring: Keyring, place: int) -> None:
    keyring.commit(MARK, NOON)
    keyring.commit(MARK, NOON)
    data = bytearray(keyring.path.read_bytes())
    data[place] ^= 1
    keyring.path.write_bytes(bytes(data))
    # The last line has none after it to give it away; its own secret no longer fits it.
    with pytest.raises((BrokenRecord, InputError, UsageError)) as caught:
        keyring.key(2)
    assert "commitments.jsonl" in str(caught.value) or "epoch 2" in str(caught.value)


def test_a_line_cut_short_by_a_crash_is_not_there_and_is_written_over(keyring: Keyring) -> None:
    keyring.commit(MARK, NOON)
    whole = keyring.path.read_bytes()
    keyring.commit(MARK, NOON)
    cut = keyring.path.read_bytes()[: len(whole) + 40]
    keyring.path.write_bytes(cut)
    assert [each.epoch for each in keyring.epochs()] == [1]
    keyring.commit("gumbel-k2", NOON)
    assert keyring.path.read_bytes().startswith(whole)
    assert [each.mark_id for each in keyring.epochs()] == [f"{MARK}@1", "gumbel-k2@2"]


def test_a_root_that_was_exchanged_is_noticed(keyring: Keyring, tmp_path: Path) -> None:
    keyring.commit(MARK)
    root = tmp_path / "keys" / "marks.root"
    root.write_text("00" * 32)
    with pytest.raises(BrokenRecord, match="does not fit the commitment"):
        keyring.key()


def test_a_lost_root_is_not_silently_drawn_anew(keyring: Keyring, tmp_path: Path) -> None:
    keyring.commit(MARK)
    (tmp_path / "keys" / "marks.root").unlink()
    with pytest.raises(ResourceError):
        keyring.commit(MARK)


def test_a_clock_that_goes_back_is_refused(keyring: Keyring) -> None:
    keyring.commit(MARK, NOON)
    with pytest.raises(UsageError, match="later than"):
        keyring.commit(MARK, NOON - timedelta(seconds=1))


def test_two_processes_never_write_the_same_epoch(keyring: Keyring, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Keyring(tmp_path).commit(MARK, NOON).epoch, range(8)))
    assert sorted(made) == list(range(1, 9))
    assert len(keyring.epochs()) == 8
