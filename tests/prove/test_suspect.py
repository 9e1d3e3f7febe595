from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.prove.suspect import Identity, Reply, Scored, gives, lacking, open_suspect


def test_a_spec_of_no_known_scheme_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UsageError, match=r"hf:FOLDER.*openai:URL#model"):
        open_suspect("ftp:somewhere")


def test_a_folder_opens_with_all_access_and_the_digest_of_its_files(folder: Path) -> None:
    suspect = open_suspect(f"hf:{folder}")
    try:
        assert suspect.access == "weights"
        assert suspect.identity.name == "tiny"
        assert suspect.identity.digest is not None
        assert len(suspect.identity.digest) == 64
        assert all(gives(suspect, wanted) for wanted in ("text", "logprobs", "weights"))
    finally:
        suspect.close()


def test_an_api_without_echo_gives_text_alone(upstream) -> None:
    suspect = open_suspect(f"openai:{upstream.url}#m")
    assert suspect.access == "text"
    assert not gives(suspect, "logprobs")
    assert suspect.identity == Identity(name="m", kind=f"api {upstream.url}")


def test_a_score_adds_up() -> None:
    assert Scored((-1.0, -0.5)).total == -1.5
    assert Scored(()).total == 0.0


def test_a_reply_without_extras_is_stored_short() -> None:
    import msgspec

    data = msgspec.json.encode(Reply(text="a", ending="stop"))
    assert data == b'{"text":"a","ending":"stop"}'
    assert msgspec.json.decode(data, type=Reply) == Reply(text="a", ending="stop")


def test_too_little_access_is_told_with_what_would_do() -> None:
    error = lacking(Identity(name="m", kind="api"), "text", "weights")
    assert "m gives text, and this needs weights" in str(error)
