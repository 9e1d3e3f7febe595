"""All of the text, a sketch, or none of it is kept, in memory as in the log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.record.content import reducer, without
from spiritsafe.record.exchange import CONTENT_FIELDS, Content, Exchange
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog, read
from spiritsafe.record.sketch import read_sketch, sketch_text

Make = Callable[..., Exchange]


def test_nothing_is_kept_of_the_text(make: Make) -> None:
    bare = without(make(3))
    assert bare.content == "none"
    assert all(getattr(bare, name) is None for name in CONTENT_FIELDS)
    assert bare.prompt_tokens == 3


def test_a_sketch_stands_for_the_text(make: Make, tmp_path: Path) -> None:
    sketched = reducer("sketch", tmp_path)(make(3))
    key = secret(tmp_path / "keys" / "identity.key")
    assert sketched.content == "sketch"
    assert all(getattr(sketched, name) is None for name in CONTENT_FIELDS if name != "sketch")
    assert sketched.sketch is not None
    assert read_sketch(sketched.sketch).prompt == sketch_text("What is 3 plus 3?", key)


def test_what_keeps_less_already_stays_as_it_is(make: Make, tmp_path: Path) -> None:
    bare = without(make())
    sketched = reducer("sketch", tmp_path)(make())
    assert reducer("sketch", tmp_path)(bare) is bare
    assert reducer("sketch", tmp_path)(sketched) is sketched
    assert reducer("full", tmp_path)(sketched) is sketched
    assert reducer("none", tmp_path)(sketched).sketch is None


@pytest.mark.parametrize("content", ["full", "sketch", "none"])
def test_the_log_holds_what_it_was_told_to(make: Make, tmp_path: Path, content: Content) -> None:
    folder = tmp_path / "data" / "record"
    with SealedLog.open(folder, content=content, pace=0.0) as log:
        log.append(make(1)).result()
        log.roll()
        log.append(make(2)).result()
    found = [exchange for _, exchange in read(folder)]
    assert [exchange.content for exchange in found] == [content] * 2
    assert [exchange.completion for exchange in found] == (
        ["It is 2.", "It is 4."] if content == "full" else [None] * 2
    )
    assert [exchange.sketch is not None for exchange in found] == [content == "sketch"] * 2
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    assert (b"plus 2" in written) == (content == "full")
