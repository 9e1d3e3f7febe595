from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.evidence.stix import TECHNIQUES, Identifier, Shared, bundle, hashed

KEY = bytes(range(32))
OPENED = datetime(2026, 11, 2, 10, 30, tzinfo=UTC)
SHARED = Shared(
    provider="Stillhouse",
    case_id="case_7",
    subject="ring_1",
    opened=OPENED,
    made=OPENED + timedelta(days=1),
    identifiers=(
        Identifier("account", "acct_1"),
        Identifier("email", "a@example.org"),
        Identifier("account", "acct_1"),
    ),
    facts=("Nine accounts asked for disjoint shares of one corpus.",),
)


def test_other_peoples_tools_read_it() -> None:
    parsed = stix2.parse(json.dumps(bundle(SHARED, KEY)), allow_custom=False)
    kinds = [one.type for one in parsed.objects]
    assert kinds.count("indicator") == 2
    assert kinds.count("relationship") == 3 + 2
    ids = {one.id for one in parsed.objects}
    for one in parsed.objects:
        if one.type == "relationship":
            assert {one.source_ref, one.target_ref} <= ids
        if one.type == "report":
            assert set(one.object_refs) == ids - {one.id}


def test_techniques_have_their_atlas_ids() -> None:
    told = [one for one in bundle(SHARED, KEY)["objects"] if one["type"] == "attack-pattern"]
    assert [one["external_references"][0]["external_id"] for one in told] == [number for number, _ in TECHNIQUES]


def test_no_identifier_leaves_in_the_clear() -> None:
    text = json.dumps(bundle(SHARED, KEY))
    assert "acct_1" not in text
    assert "example.org" not in text
    assert hashed(Identifier("account", "acct_1"), KEY) in text


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_providers_with_the_key_find_the_same_and_others_nothing(kind: str, value: str) -> None:
    one = Identifier(kind, value)
    assert hashed(one, KEY) == hashed(Identifier(kind, f"  {value.strip()} "), KEY)
    assert hashed(one, KEY) != hashed(one, bytes(32))
    assert hashed(Identifier("email", "A@Example.org"), KEY) == hashed(Identifier("email", "a@example.org"), KEY)
    assert hashed(Identifier("email", "x"), KEY) != hashed(Identifier("account", "x"), KEY)


def test_a_later_export_takes_the_place_of_an_earlier_one() -> None:
    later = msgspec.structs.replace(SHARED, made=SHARED.made + timedelta(days=3))
    before, after = bundle(SHARED, KEY), bundle(later, KEY)
    assert [one["id"] for one in before["objects"]] == [one["id"] for one in after["objects"]]
    assert before["objects"][0]["modified"] < after["objects"][0]["modified"]
    assert bundle(SHARED, KEY) == before


def test_a_key_that_could_be_guessed_and_a_kind_that_is_none_are_refused() -> None:
    with pytest.raises(InputError, match="7 bytes"):
        bundle(SHARED, b"sevenbt")
    odd = msgspec.structs.replace(SHARED, identifiers=(Identifier("a' OR 'b", "x"),))
    with pytest.raises(InputError, match="no kind"):
        bundle(odd, KEY)
