from itertools import islice
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.drill import ring


def test_a_corpus_has_no_task_twice() -> None:
    corpus = ring.corpus(Random(1), 500)
    assert len(corpus) == 500
    assert len({ask.prompt for ask in corpus}) == 500


def test_every_task_is_wrapped_to_draw_out_reasoning() -> None:
    for ask in ring.corpus(Random(2), 200):
        assert any(word in ask.prompt.lower() for word in ("step", "reasoning", "chain of thought"))


@given(size=st.integers(0, 300), members=st.integers(1, 40))
def test_shares_are_disjoint_even_and_cover_the_corpus(size: int, members: int) -> None:
    shares = ring.deal(size, members)
    assert sorted(place for share in shares for place in share) == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_member_asks_its_share_in_order_among_ordinary_questions() -> None:
    share = ring.corpus(Random(3), 200)
    sent = list(ring.asks(Random(4), share, 0.5))
    assert [ask for ask, place in sent if place is not None] == list(share)
    assert [place for _, place in sent if place is not None] == list(range(200))
    cover = sum(place is None for _, place in sent)
    assert 140 < cover < 270


def test_without_cover_every_ask_is_harvest() -> None:
    share = ring.corpus(Random(5), 20)
    assert all(place is not None for _, place in islice(ring.asks(Random(6), share, 1.0), 30))
