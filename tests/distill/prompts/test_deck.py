from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.prompts.deck import Deck


@given(st.integers(1, 20), st.integers(1, 4), st.integers())
def test_every_card_comes_up_once_a_round(cards: int, rounds: int, seed: int) -> None:
    deck = Deck(range(cards), Random(seed))
    for _ in range(rounds):
        assert sorted(deck.draw() for _ in range(cards)) == list(range(cards))
