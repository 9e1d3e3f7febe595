from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.cache.types import Manifest, Part, tokenizer_digest, tokens_digest


@pytest.mark.parametrize(
    "bad", [{"vocabulary": 0}, {"vocabulary": 1 << 25}, {"temperature": 0.0}, {"rounds": 65}, {"rounds": 0},
            {"distinct": 0.5}, {"k": 0, "kind": "topk"}]
)  # fmt: skip
def test_what_can_not_be_stored_is_refused(spec, bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        spec(**bad)


def test_a_tokenizers_digest_depends_on_every_token_and_number_and_on_nothing_else():
    base = {"a": 0, "b": 1, "\udcff": 2}
    assert tokenizer_digest(base) == tokenizer_digest(dict(reversed(base.items())))
    for other in ({"a": 1, "b": 0, "\udcff": 2}, {"a": 0, "b": 1}, {"a": 0, "c": 1, "\udcff": 2}, {"a0 1 b": 0}):
        assert tokenizer_digest(other) != tokenizer_digest(base)


@given(st.lists(st.integers(0, 2**24 - 1)), st.integers(1, 9), st.data())
def test_a_rows_digest_changes_with_any_token_and_with_the_answers_beginning(row_ids, start, data):
    from collections import namedtuple

    row = namedtuple("row", "key ids start")
    one = tokens_digest(row("a", row_ids, start))
    assert tokens_digest(row("b", list(row_ids), start)) == one
    assert tokens_digest(row("a", row_ids, start + 1)) != one
    assert tokens_digest(row("a", [*row_ids, 0], start)) != one
    if row_ids:
        i = data.draw(st.integers(0, len(row_ids) - 1))
        assert tokens_digest(row("a", [*row_ids[:i], row_ids[i] + 1, *row_ids[i + 1 :]], start)) != one


def test_a_manifest_counts_everything_on_disk(spec):
    parts = tuple(Part(file=f"{i}", rows=1, positions=10, bytes=300, digest="") for i in range(2))
    manifest = Manifest(spec=spec(), parts=parts)
    assert (manifest.positions, manifest.bytes_per_position) == (20, 30.0)
    assert Manifest(spec=spec(), parts=()).bytes_per_position == 0.0
