from collections import Counter
from itertools import islice

import pytest

from spiritsafe.drill.scenario import FULL, QUICK, RING, Size, scenario


@pytest.mark.parametrize("size", [QUICK, FULL])
def test_the_cast_has_every_kind_in_its_number(size: Size) -> None:
    kinds = Counter(actor.kind for actor in scenario(1, size).actors)
    assert kinds == {**size.honest, RING: size.members}


@pytest.mark.parametrize("seed", range(5))
def test_names_cards_and_addresses_do_not_tell_who_is_in_the_ring(seed: int) -> None:
    play = scenario(seed, QUICK)
    names = [actor.name for actor in play.actors]
    assert len(set(names)) == len(names)
    order = [actor.kind == RING for actor in play.actors]
    assert order != sorted(order), "the cast is shuffled"


def test_ring_shares_are_disjoint_and_cover_the_corpus() -> None:
    play = scenario(2, QUICK)
    places = [place for actor in play.actors for place in actor.share]
    assert sorted(places) == list(range(QUICK.corpus))


def test_no_single_thing_is_common_to_the_whole_ring_but_it_hangs_together() -> None:
    members = [actor for actor in scenario(3, QUICK).actors if actor.kind == RING]
    by_card, by_network = ({(m.payment if card else _network(m.address)) for m in members} for card in (True, False))
    assert (len(by_card), len(by_network)) == (2, 3)
    reached = {members[0].name}
    for _ in members:
        for one in members:
            near = [m for m in members if m.payment == one.payment or _network(m.address) == _network(one.address)]
            if one.name in reached:
                reached |= {m.name for m in near}
    assert reached == {m.name for m in members}


def test_honest_accounts_share_too() -> None:
    play = scenario(4, QUICK)
    coders = [actor for actor in play.actors if actor.kind == "coder"]
    assert len({c.payment for c in coders}) == 1
    assert len({_network(c.address) for c in coders}) == 1
    campus = [a for a in play.actors if a.kind == "student"]
    assert len({_network(s.address) for s in campus}) == 1
    assert len({s.payment for s in campus}) == len(campus)


def test_the_same_seed_is_the_same_affair() -> None:
    first, again, other = scenario(5, QUICK), scenario(5, QUICK), scenario(6, QUICK)
    assert first == again
    assert {a.name for a in first.actors} != {a.name for a in other.actors}
    for one, two in zip(first.actors, again.actors, strict=True):
        assert list(islice(first.asks(one), 5)) == list(islice(again.asks(two), 5))


def test_a_member_asks_for_its_own_places() -> None:
    play = scenario(7, QUICK)
    member = next(actor for actor in play.actors if actor.kind == RING)
    asked = [(ask, place) for ask, place in play.asks(member) if place is not None]
    assert [place for _, place in asked] == list(member.share)
    assert all(ask == play.corpus[place] for ask, place in asked)


def _network(address: str) -> str:
    return address.rsplit(".", 1)[0]
