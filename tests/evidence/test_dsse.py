from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import BrokenRecord
from spiritsafe.evidence import dsse
from spiritsafe.record.keys import Signer

SIGNER = Signer(bytes(range(32)))
KEY = SIGNER.public


def test_what_is_signed_is_the_protocols_own_example() -> None:
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("é", b"") == "DSSEv1 2 é 0 ".encode()


@given(st.binary(max_size=80), st.text(max_size=20))
def test_what_goes_in_comes_out_and_is_signed(payload: bytes, kind: str) -> None:
    opened = dsse.decode(dsse.encode(dsse.seal(kind, payload, SIGNER.sign, "key")), "here")
    assert (opened.payload, opened.payload_type, opened.keyid) == (payload, kind, "key")
    assert KEY.verifies(opened.signature, opened.signed)


@given(st.binary(min_size=1, max_size=60), st.data())
def test_no_other_bytes_pass(payload: bytes, data: st.DataObject) -> None:
    """Any change of any byte is found: by the form, or by the signature."""
    whole = dsse.encode(dsse.seal("kind", payload, SIGNER.sign, ""))
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    try:
        opened = dsse.decode(changed, "here")
    except BrokenRecord:
        return
    assert not KEY.verifies(opened.signature, opened.signed) or opened.keyid != ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e | {"more": 1}, "no envelope"),
        (lambda e: e | {"signatures": []}, "0 signatures"),
        (lambda e: e | {"signatures": e["signatures"] * 2}, "2 signatures"),
        (lambda e: e | {"payload": "a b="}, "no base64"),
        (lambda e: e | {"payload": "eF=="}, "not in the form"),
        (lambda e: {"payload": e["payload"]}, "no envelope"),
    ],
)
def test_what_is_no_envelope_of_ours_says_why(change: object, message: str) -> None:
    envelope = json.loads(dsse.encode(dsse.seal("kind", b"x", SIGNER.sign, "")))
    data = json.dumps(change(envelope), sort_keys=True, separators=(",", ":")).encode()  # type: ignore[operator]
    with pytest.raises(BrokenRecord, match=f"here: .*{message}"):
        dsse.decode(data, "here")


def test_the_same_envelope_in_other_words_is_refused() -> None:
    envelope = json.loads(dsse.encode(dsse.seal("kind", b"x", SIGNER.sign, "")))
    with pytest.raises(BrokenRecord, match="not in the form"):
        dsse.decode(json.dumps(envelope).encode(), "here")
