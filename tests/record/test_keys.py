"""Keys are made once, kept from others, and a signature verifies with the one key it was made with."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.record.keys import Public, Signer, read_secret, secret


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "some.key"
    first = secret(path)
    assert len(first) == 32
    assert secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["some.key"]


def test_many_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "some.key"
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: secret(path), range(16)))) == 1


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.key"
    secret(path)
    path.chmod(0o640)
    with pytest.raises(ResourceError, match=f"chmod 600 {path}"):
        read_secret(path)


@pytest.mark.parametrize("text", ["", "zz", "00" * 31])
def test_a_damaged_secret_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InputError, match="damaged"):
        secret(path)


def test_a_missing_or_impossible_secret_says_so(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="can't be read"):
        read_secret(tmp_path / "none.key")
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="can't be written"):
        secret(tmp_path / "file" / "some.key")


def test_signatures_verify_with_their_key_alone() -> None:
    signer, other = Signer(bytes(32)), Signer(os.urandom(32))
    signature = signer.sign(b"data")
    assert signer.public.verifies(signature, b"data")
    assert not signer.public.verifies(signature, b"date")
    assert not other.public.verifies(signature, b"data")
    assert not signer.public.verifies(b"short", b"data")


def test_a_public_key_has_one_text() -> None:
    public = Signer(bytes(32)).public
    again = Public.from_text(public.text)
    assert again is not None
    assert (again.raw, again.fingerprint) == (public.raw, public.fingerprint)
    assert len(public.fingerprint) == 32
    for wrong in (
        public.text.upper(),
        public.text.strip(),
        public.text + "\n",
        "rsa " + public.raw.hex(),
        "ed25519 00\n",
    ):
        assert Public.from_text(wrong) is None
