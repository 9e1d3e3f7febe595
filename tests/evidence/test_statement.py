from __future__ import annotations

import json

import msgspec
import pytest

from spiritsafe.errors import BrokenRecord
from spiritsafe.evidence import statement
from spiritsafe.evidence.statement import PAYLOAD_TYPE, Subject


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    word: str
    share: float | None = None


PAYLOAD = statement.write((Subject("a", {"sha256": "00"}),), "https://example/word/v1", Word("yes", 0.1))


def test_a_statement_is_in_totos() -> None:
    assert json.loads(PAYLOAD) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": "00"}}],
        "predicateType": "https://example/word/v1",
        "predicate": {"word": "yes", "share": 0.1},
    }


def test_it_is_read_as_it_was_written() -> None:
    said = statement.read(PAYLOAD, PAYLOAD_TYPE, "here")
    assert said.subject == (Subject("a", {"sha256": "00"}),)
    assert statement.predicate(said, Word, "here") == Word("yes", 0.1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Statement/v1", b"Statement/v2", "type 'https://in-toto.io/Statement/v2'"),
        (b'"subject"', b'"subjekt"', "no in-toto statement"),
        (b'"name":"a"', b'"name": "a"', "not in the form"),
        (b'"share":0.1', b'"share":0.10', "not in the form"),
        (b'"share":0.1', b'"other":0.1', "can't be read"),
        (b'"word":"yes"', b'"word":1', "can't be read"),
    ],
)
def test_any_other_bytes_are_refused(old: bytes, new: bytes, message: str) -> None:
    with pytest.raises(BrokenRecord, match=message):
        statement.predicate(statement.read(PAYLOAD.replace(old, new), PAYLOAD_TYPE, "here"), Word, "here")


def test_another_type_of_payload_is_refused() -> None:
    with pytest.raises(BrokenRecord, match="'text/plain'"):
        statement.read(PAYLOAD, "text/plain", "here")
