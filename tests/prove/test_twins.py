from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.protect.twins import coin
from spiritsafe.prove import twins
from spiritsafe.prove.suspect import Reply, Scored
from spiritsafe.teach.types import Sampling

KEY = bytes(range(32))
TEXT = Sampling(seed=1, max_tokens=60, temperature=0.7)


def coins_of(pairs) -> list[int]:
    return [coin(KEY, pair.pair_id) for pair in pairs]


def swapped(reading: twins.Reading, at: int) -> twins.Reading:
    """The same pairs with the slots of one the other way round."""

    def turned(part):
        part = part.copy()
        part[at] = part[at, ::-1]
        return part

    return msgspec.structs.replace(
        reading, values=turned(reading.values), explained=tuple(map(turned, reading.explained))
    )


def test_a_hundred_pairs_with_logprobs_convict(trial) -> None:
    pairs = trial.pairs(100, 1)
    student = trial.student(pairs, coins_of(pairs))
    for reference in (None, trial.teacher):
        reading = twins.by_likelihood(student, pairs, reference)
        result = twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), "student", reading)
        assert result.p_value < 1e-6
        assert result.log10_e > 4
        assert result.effect > 0.9
        assert result.n <= 100


def test_text_alone_convicts_as_well(trial) -> None:
    pairs = trial.pairs(150, 2)
    student = trial.student(pairs, coins_of(pairs))
    reading = twins.by_answers(student, pairs, TEXT, 2)
    result = twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), "student", reading)
    assert result.p_value < 1e-6
    assert "likelihood by its own 2 answers" in result.because[0]


def test_what_was_learnt_by_heart_is_gone_on_with(trial) -> None:
    from spiritsafe.prove.ngram import Ngram, NgramSuspect

    pairs, model = trial.pairs(80, 12), Ngram()
    for pair, slot in zip(pairs, coins_of(pairs), strict=True):
        model.learn(pair.messages[0]["content"] + "\n", pair.answers[slot], times=6)
    reading = twins.by_continuations(NgramSuspect(model), pairs, TEXT, 6, 2)
    result = twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), "student", reading)
    assert result.p_value < 1e-4
    assert "in continuations after 6 words" in result.because[0]
    again = twins.leanings(swapped(reading, 5))
    lean = twins.leanings(reading)
    assert again[5] == pytest.approx(-lean[5])
    assert np.delete(again, 5) == pytest.approx(np.delete(lean, 5))


def test_an_innocent_student_of_other_answers_to_the_same_requests_is_cleared(trial) -> None:
    pairs, others = trial.pairs(150, 3), trial.pairs(150, 4)
    innocent = trial.student(others, [0] * 150)
    reading = twins.by_likelihood(innocent, pairs, trial.teacher)
    result = twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), "innocent", reading)
    assert result.p_value > 1e-3


@pytest.mark.parametrize("access", ["logprobs", "text"])
def test_its_size_is_what_it_says_over_a_thousand_coins(trial, access: str) -> None:
    pairs = trial.pairs(80, 5)
    innocent = trial.student(trial.pairs(80, 6), [0] * 80)
    told = twins.by_likelihood(innocent, pairs) if access == "logprobs" else twins.by_answers(innocent, pairs, TEXT, 1)
    lean = twins.leanings(told)
    rng = np.random.default_rng(9)
    ps = []
    for _ in range(1000):
        values = twins.preferences(lean, rng.integers(0, 2, 80))
        ps.append(10 ** twins.sign_flip(values, flips=9).log10_p)
    rates = [float(np.mean(np.asarray(ps) <= level)) for level in (0.05, 0.01)]
    assert 0.03 <= rates[0] <= 0.07
    assert 0.002 <= rates[1] <= 0.02


@pytest.mark.parametrize("reference", [False, True])
def test_swapping_the_slots_of_a_pair_turns_its_sign_and_nothing_else(trial, reference: bool) -> None:
    pairs = trial.pairs(60, 7)
    student = trial.student(pairs, coins_of(pairs))
    for reading in (
        twins.by_likelihood(student, pairs, trial.teacher if reference else None),
        twins.by_answers(student, pairs, TEXT, 1, trial.teacher if reference else None),
    ):
        lean = twins.leanings(reading)
        for at in (0, 17, 59):
            again = twins.leanings(swapped(reading, at))
            lean[at] = -lean[at]
            assert again == pytest.approx(lean, abs=1e-9)
            lean[at] = -lean[at]


def test_only_the_tenant_whose_answers_were_trained_on_is_named(trial) -> None:
    pairs = trial.pairs(400, 8)
    coins = coins_of(pairs)
    fed = [at for at, pair in enumerate(pairs) if pair.tenant == "t2"]
    student = trial.student([pairs[at] for at in fed], [coins[at] for at in fed])
    reading = twins.by_likelihood(student, pairs, trial.teacher)
    values = twins.preferences(twins.leanings(reading), coins)
    results = twins.by_tenant(values, [pair.tenant for pair in pairs], "student", reading)
    assert [one.subject for one in results] == [f"student from t{n}" for n in range(4)]
    assert [one.p_value < 1e-6 for one in results] == [False, False, True, False]


def test_too_few_pairs_give_no_p_value_but_say_how_many_more(trial) -> None:
    pairs = trial.pairs(12, 9)
    reading = twins.by_likelihood(trial.teacher, pairs)
    with pytest.raises(twins.TooFew, match=r"12 pairs can be compared, and 20 are the fewest: 8 more are needed"):
        twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), "s", reading)
    assert twins.by_tenant(twins.leanings(reading), ["a"] * 12, "s", reading) == []


class Mute:
    """Refuses the first half, repeats itself in the rest, and finds nothing likely."""

    access = "logprobs"

    def generate(self, prompts, sampling):
        half = len(prompts) // 2
        looped = Reply(text="so so so so so " * 60, ending="length")
        refused = Reply(text="I'm sorry, but I can't help with that.", ending="stop")
        return [[refused] if at < half else [looped] for at in range(len(prompts))]

    def score(self, pairs):
        return [Scored(()) for _ in pairs]


def test_a_suspect_that_refuses_and_repeats_itself_is_no_evidence(trial) -> None:
    pairs = trial.pairs(40, 10)
    reading = twins.by_answers(Mute(), pairs, TEXT, 2)  # type: ignore[arg-type]
    assert not reading.usable.any()
    assert reading.notes == ("40 replies left out: refusal", "40 replies left out: repeating")
    silent = twins.by_likelihood(Mute(), pairs)  # type: ignore[arg-type]
    assert silent.notes == ("40 pairs left out: an answer has no score",)
    with pytest.raises(twins.TooFew, match="20 more"):
        twins.judge(twins.leanings(silent), "mute", silent)


def test_answers_that_are_the_same_tell_nothing(trial) -> None:
    pairs = [msgspec.structs.replace(pair, answers=(pair.answers[0],) * 2) for pair in trial.pairs(30, 11)]
    assert not twins.leanings(twins.by_likelihood(trial.teacher, pairs)).any()


@given(st.integers(0, 2**32), st.integers(2, 60))
def test_leanings_are_held_within_bounds(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    reading = twins.Reading(
        measure="noise",
        values=rng.standard_cauchy((n, 2)),
        explained=(rng.normal(size=(n, 2)),),
        sizes=rng.gamma(1.0, size=n),
        usable=rng.random(n) < 0.8,
    )
    lean = twins.leanings(reading)
    assert np.isfinite(lean).all()
    assert not lean[~reading.usable].any()


def test_it_stops_asking_as_soon_as_it_may(trial) -> None:
    pairs = trial.pairs(200, 13)
    coins, asked = coins_of(pairs), []

    def read(suspect):
        def of(some):
            asked.append(len(some))
            return twins.by_likelihood(suspect, some, trial.teacher)

        return of

    bet = twins.watched(read(trial.student(pairs, coins)), pairs, coins, alpha=1e-6)
    assert bet.log10 >= 6
    assert asked[-1] == bet.n <= 75
    innocent = twins.watched(read(trial.student(trial.pairs(200, 14), [0] * 200)), pairs, coins, alpha=1e-3)
    assert innocent.log10 < 3
    assert asked[-1] == 200


@pytest.mark.parametrize(
    ("attack", "largest"), [("nothing", 1e-20), ("mixed 1 to 9 with clean", 1e-10), ("paraphrased", 1e-10)]
)
def test_what_is_left_under_attack(trial, attack: str, largest: float) -> None:
    from random import Random

    from spiritsafe.prove.ngram import Ngram, NgramSuspect

    dice, model = Random(15), Ngram()
    pairs = trial.pairs(100, 16)
    for pair in trial.pairs(900, 17) if "mixed" in attack else ():
        model.learn(pair.messages[0]["content"] + "\n", pair.answers[0])
    for pair, slot in zip(pairs, coins_of(pairs), strict=True):
        words = pair.answers[slot].split(" ")
        if attack == "paraphrased":
            words = [word for word in words if dice.random() > 0.2]
        model.learn(pair.messages[0]["content"] + "\n", " ".join(words))
    reading = twins.by_likelihood(NgramSuspect(model), pairs, trial.teacher)
    result = twins.judge(twins.preferences(twins.leanings(reading), coins_of(pairs)), attack, reading)
    assert result.p_value < largest


def test_guessing_keys_finds_nothing(trial) -> None:
    pairs = trial.pairs(60, 18)
    lean = twins.leanings(twins.by_likelihood(trial.student(pairs, coins_of(pairs)), pairs))
    guesses = [bytes([n]) * 32 for n in range(200)]
    ps = [
        10 ** twins.sign_flip(twins.preferences(lean, [coin(key, p.pair_id) for p in pairs]), flips=9).log10_p
        for key in guesses
    ]
    assert min(ps) > 1e-5
