from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import Refused
from spiritsafe.protect.sealed_reasoning import PAD, Binding, seal, unseal

ROOT = bytes(range(32))
HERE = Binding("account", "session", "model", 1)


@given(st.text(), st.integers(0, 1000))
def test_it_opens_where_it_was_sealed(text: str, turn: int) -> None:
    here = msgspec.structs.replace(HERE, turn=turn)
    assert unseal(seal(text, ROOT, here), ROOT, here) == text


@pytest.mark.parametrize(
    "change", [{"account": "other"}, {"session": "other"}, {"model": "other"}, {"turn": 2}, {"account": "accounts"}]
)
def test_replay_anywhere_else_fails(change: dict[str, object]) -> None:
    blob = seal("because", ROOT, HERE)
    with pytest.raises(Refused, match="does not belong here"):
        unseal(blob, ROOT, msgspec.structs.replace(HERE, **change))
    with pytest.raises(Refused):
        unseal(blob, bytes(32), HERE)


def test_what_is_bound_can_not_be_shifted_between_its_parts() -> None:
    blob = seal("because", ROOT, Binding("ab", "c", "m", 1))
    with pytest.raises(Refused):
        unseal(blob, ROOT, Binding("a", "bc", "m", 1))


def test_a_blob_with_any_character_changed_is_refused() -> None:
    blob = seal("because", ROOT, HERE)
    for at in range(len(blob)):
        other = "A" if blob[at] != "A" else "B"
        with pytest.raises(Refused):
            unseal(blob[:at] + other + blob[at + 1 :], ROOT, HERE)


@pytest.mark.parametrize("blob", ["", "ssr1.", "ssr1.AAAA", "ssr2.AAAA", "ssr1.%%%", "plain words"])
def test_what_is_no_blob_is_refused(blob: str) -> None:
    with pytest.raises(Refused):
        unseal(blob, ROOT, HERE)


def test_it_hides_the_text_and_nearly_its_length() -> None:
    assert "because" not in seal("because", ROOT, HERE)
    assert seal("because", ROOT, HERE) != seal("because", ROOT, HERE)
    assert len({len(seal("x" * n, ROOT, HERE)) for n in range(PAD)}) == 1
