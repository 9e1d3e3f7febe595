from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.evidence.signing import CURVES, PrivateKey, PublicKey, own_private, read_private
from spiritsafe.record import keys

KINDS = {
    "ed25519": Ed25519PrivateKey.generate(),
    "ecdsa-secp256r1": ec.generate_private_key(ec.SECP256R1()),
    "ecdsa-secp384r1": ec.generate_private_key(ec.SECP384R1()),
    "ecdsa-secp521r1": ec.generate_private_key(ec.SECP521R1()),
}


def put(path: Path, key: object, lock: KeySerializationEncryption | None = None) -> Path:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())  # type: ignore[attr-defined]
    path.write_bytes(pem)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_from_pem_signs_and_its_public_half_verifies(kind: str, tmp_path: Path) -> None:
    private = read_private(put(tmp_path / "key.pem", KINDS[kind]))
    assert private.public.kind == kind
    signature = private.sign(b"data")
    public = PublicKey.read(private.public.pem, "key")
    assert public.verifies(signature, b"data")
    assert not public.verifies(signature, b"date")
    assert not public.verifies(signature[:-1] + bytes([signature[-1] ^ 1]), b"data")
    assert not public.verifies(b"", b"data")
    assert (public.kind, public.fingerprint, public.pem) == (kind, private.public.fingerprint, private.public.pem)


def test_no_key_verifies_for_another() -> None:
    signers = {kind: PrivateKey(key) for kind, key in KINDS.items()}
    assert len({s.public.fingerprint for s in signers.values()}) == len(signers)
    for one in signers.values():
        for other in signers.values():
            assert other.public.verifies(one.sign(b"x"), b"x") == (one is other)


def test_the_houses_own_key_signs_and_has_the_same_fingerprint_as_in_the_record(tmp_path: Path) -> None:
    seed = keys.secret(tmp_path / "record.key")
    house, here = keys.Signer(seed), read_private(tmp_path / "record.key")
    assert here.public.fingerprint == house.public.fingerprint
    assert house.public.verifies(here.sign(b"x"), b"x")
    line = PublicKey.read(house.public.text.encode(), "key.pub")
    assert line.pem == here.public.pem


def test_a_fresh_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.pem"
    first = own_private(path)
    assert first.public.kind == "ecdsa-secp256r1"
    assert own_private(path).public.fingerprint == first.public.fingerprint
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "key.pem", KINDS["ed25519"])
    path.chmod(0o640)
    with pytest.raises(ResourceError, match=r"can be read by others.*chmod 600"):
        read_private(path)


def test_what_signs_nothing_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="can't be read"):
        read_private(tmp_path / "none")
    locked = put(tmp_path / "locked", KINDS["ed25519"], BestAvailableEncryption(b"word"))
    with pytest.raises(InputError, match="password"):
        read_private(locked)
    with pytest.raises(InputError, match="not a private key"):
        read_private(put(tmp_path / "rsa", rsa.generate_private_key(65537, 2048)))
    with pytest.raises(InputError, match="curve secp256k1"):
        read_private(put(tmp_path / "koblitz", ec.generate_private_key(ec.SECP256K1())))
    cut = put(tmp_path / "cut", KINDS["ed25519"])
    cut.write_bytes(cut.read_bytes()[:60])
    with pytest.raises(InputError, match="not a private key"):
        read_private(cut)


def test_what_is_no_public_key_is_refused() -> None:
    strange = ec.generate_private_key(ec.SECP256K1()).public_key()
    pem = strange.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for data in (b"", b"ed25519 00", b"-----BEGIN PUBLIC KEY-----\n", b"\xff\xfe"):
        with pytest.raises(InputError, match="here: not a public key"):
            PublicKey.read(data, "here")
    with pytest.raises(InputError, match="curve secp256k1"):
        PublicKey.read(pem, "here")


def test_each_curve_has_the_hash_of_its_size() -> None:
    assert {name: rule.digest_size * 8 for name, rule in CURVES.items()} == {
        "secp256r1": 256,
        "secp384r1": 384,
        "secp521r1": 512,
    }
