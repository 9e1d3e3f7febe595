from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.ring.chance import Meeting, explain, log10_chance


def core(members: int, outside: int = 0, values: float = 2.0) -> list[Meeting]:
    return [
        Meeting("payment", members, members, members, values),
        Meeting("place", members, members, members + outside, values),
    ]


def test_one_honest_group_may_share_whatever_it_likes() -> None:
    assert log10_chance(core(9), 4000, 9) == 0.0
    assert log10_chance(core(9, values=0.0), 4000, 12) == 0.0


def test_a_candidate_of_one_kind_is_no_coincidence() -> None:
    assert log10_chance([], 4000, 5) == 0.0
    assert log10_chance(core(60)[:1], 4000, 5) == 0.0


def test_the_more_groups_would_have_met_the_less_likely() -> None:
    found = [log10_chance(core(n), 4000, 9) for n in (9, 18, 36, 72, 144)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < -10.0


def test_larger_honest_groups_and_more_users_outside_make_it_likelier() -> None:
    by_group = [log10_chance(core(60), 4000, g) for g in (5, 10, 20, 60)]
    by_outside = [log10_chance(core(60, outside), 4000, 5) for outside in (0, 50, 500, 3000)]
    assert by_group == sorted(by_group)
    assert by_outside == sorted(by_outside)


def test_where_all_are_members_meeting_is_no_wonder() -> None:
    assert log10_chance(core(14), 14, 5) == 0.0
    assert log10_chance(core(14), 16, 1) <= 0.0


def test_a_further_kind_adds_to_it() -> None:
    third = [*core(60), Meeting("system", 60, 60, 60, 2.0)]
    assert log10_chance(third, 4000, 9) < log10_chance(core(60), 4000, 9) - 3.0


def test_companies_that_fall_upon_networks_by_chance_are_rarely_found_out() -> None:
    # 200 companies of three keys and one card each, 40 networks picked blindly: the best pair of a card's companies.
    rng = np.random.default_rng(1)
    below = 0
    for _ in range(300):
        places = rng.integers(0, 40, 200)
        cards = rng.integers(0, 60, 200)
        best = 0.0
        for card in range(60):
            mine = places[cards == card]
            values, counts = np.unique(mine, return_counts=True)
            if values.size == 0:
                continue
            both, place = int(counts.max()), values[counts.argmax()]
            meeting = [
                Meeting("payment", 3 * mine.size, 3 * mine.size, 3 * mine.size, np.log10(61)),
                Meeting("place", 3 * both, 3 * mine.size, 3 * int((places == place).sum()), np.log10(41)),
            ]
            best = min(best, log10_chance(meeting, 600, 3))
        below += best <= -1.0
    assert below / 300 <= 0.1


@pytest.mark.parametrize(("group", "words"), [(9, "7 of them would have met by chance"), (60, "no more than the 60")])
def test_it_is_explained_in_words(group: int, words: str) -> None:
    assert words in explain(core(60), group)[0]
    assert explain([], group) == ()
