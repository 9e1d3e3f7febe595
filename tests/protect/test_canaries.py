from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.protect.canaries import SPACE, WORDS, canary, code_of, codes_in, commitment, placed

KEY = bytes(range(32))


def test_the_space_is_as_large_as_it_says() -> None:
    assert len(set(WORDS)) == len(WORDS) == 64
    assert SPACE == 64**3
    assert code_of(0) == "copper-copper-copper"
    assert code_of(SPACE - 1) == "flint-flint-flint"


@given(st.integers(0, SPACE - 1))
def test_every_code_is_read_back_however_it_is_joined(number: int) -> None:
    code = code_of(number)
    for text in (code, code.replace("-", " ").title(), f"It is called {code}, they say."):
        assert number in list(codes_in(text))


def test_a_canary_is_its_key_and_name_and_its_sentence_hides_neither() -> None:
    one = canary(KEY, "tenant-a")
    assert one == canary(KEY, "tenant-a")
    assert one.text == f"{one.opening}{code_of(one.number)}{one.closing}"
    other = canary(bytes(32), "tenant-a")
    assert (one.opening, one.closing) == (other.opening, other.closing)
    assert one.number != other.number
    assert one.with_code(one.number) == one.text


def test_codes_are_spread_over_the_space() -> None:
    numbers = [canary(KEY, str(n)).number for n in range(2000)]
    assert len(set(numbers)) > 1980
    firsts = Counter(number // 64**2 for number in numbers)
    assert len(firsts) == 64
    assert max(firsts.values()) < 65


def test_no_code_is_found_where_there_is_none() -> None:
    assert list(codes_in("Copper and velvet make no otter of anyone.")) == []
    assert list(codes_in("")) == []


def test_it_is_placed_after_the_answer() -> None:
    bird = canary(KEY, "a")
    assert placed("An answer.\n", bird) == f"An answer.\n\n{bird.text}"


def test_a_key_that_is_none_is_refused_and_a_commitment_hides_the_key() -> None:
    with pytest.raises(InputError, match="32 bytes"):
        canary(b"short", "a")
    assert KEY.hex() not in commitment(KEY)
    assert commitment(KEY) != commitment(bytes(32))
