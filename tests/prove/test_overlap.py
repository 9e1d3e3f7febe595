from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.prove.overlap import Rarity, grams, said_again


def test_runs_of_one_to_four_words_in_lower_case() -> None:
    assert grams("The Still.") == {
        ("the",),
        ("still",),
        (".",),
        ("the", "still"),
        ("still", "."),
        ("the", "still", "."),
    }
    assert grams("") == frozenset()


def test_what_few_say_weighs_more() -> None:
    texts = [grams("the spirit"), grams("the safe"), grams("the lamp")]
    rarity = Rarity(texts)
    assert rarity.of(("the",)) < rarity.of(("lamp",)) < rarity.of(("never",))
    assert rarity.mass([("the",), ("lamp",)]) == rarity.of(("the",)) + rarity.of(("lamp",))


def test_more_shared_words_count_for_more_and_none_for_nothing() -> None:
    rarity = Rarity([grams("a b c d"), grams("x y")])
    text = grams("a b c d")
    assert said_again(text, [], rarity) == 0.0
    assert said_again(text, [grams("x y")], rarity) == 0.0
    some, all_of_it = said_again(text, [grams("a b")], rarity), said_again(text, [text], rarity)
    assert 0 < some < all_of_it == rarity.mass(text)
    assert said_again(text, [text, grams("x")], rarity) == all_of_it / 2


@given(st.text(max_size=60), st.text(max_size=60))
def test_never_more_than_the_whole(one: str, two: str) -> None:
    rarity = Rarity([grams(one), grams(two)])
    assert said_again(grams(one), [grams(two)], rarity) <= rarity.mass(grams(one)) + 1e-9
