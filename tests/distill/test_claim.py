"""The published figures are those of the project's anchors."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.claim import HIGHEST_PUBLISHED, LOWEST_PUBLISHED, Claim, Teacher, judge
from spiritsafe.distill.published import gpu, published
from spiritsafe.errors import UsageError

H800 = gpu("h800")
V3 = Claim(params_active=37e9, tokens=14.8e12, hours=2.788e6, gpus=2048, price=2.0, reported=5.576e6)


def test_v3s_published_cost_is_plausible_and_adds_up():
    found = judge(V3, H800)
    assert found.verdict == "plausible"
    assert found.flops == pytest.approx(3.2856e24)
    assert found.money == pytest.approx(5.576e6)
    assert found.utilisation == pytest.approx(0.3309, abs=5e-4)
    assert found.utilisation_fp8 == pytest.approx(0.1654, abs=5e-4)
    assert found.wall_days == pytest.approx(56.7, abs=0.05)


def test_v3s_pre_training_alone():
    found = judge(Claim(params_active=37e9, tokens=14.8e12, hours=2.664e6, gpus=2048, price=2.0), H800)
    assert found.money == pytest.approx(5.328e6)
    assert found.utilisation == pytest.approx(0.346, abs=1e-3)
    assert found.wall_days == pytest.approx(54.2, abs=0.05)
    assert found.hours / 14.8 == pytest.approx(180e3)  # hours a trillion tokens


def test_r1_on_top_of_v3_adds_up_but_says_too_little_to_be_judged():
    found = judge(Claim(hours=147e3, price=2.0, reported=294e3), H800)
    assert found.money == pytest.approx(294e3)
    assert found.verdict == "undecided"
    assert found.utilisation is None
    assert found.distilled is None


def test_every_published_cost_that_can_be_judged_is_plausible():
    whole = [p for p in published() if p.gpu and p.params_active and p.tokens and p.hours]
    assert len(whole) >= 3
    for p in whole:
        claim = Claim(
            params_active=p.params_active,
            tokens=p.tokens,
            hours=p.hours,
            gpus=p.gpus,
            price=p.price,
            reported=p.reported,
        )
        assert judge(claim, gpu(p.gpu)).verdict == "plausible", p.name


@pytest.mark.parametrize(
    ("hours", "verdict", "words"),
    [
        (2.788e6 * 10, "undecided", "hours hold more"),
        (2.788e6, "plausible", "published large runs reach 21.3% to 56.3%"),
        (1.0e6, "undecided", "only possible if most of it ran in fp8"),
        (0.7e6, "implausible", "more than any published run"),
        (0.4e6, "implausible", "more than the H800 SXM can do at any precision"),
    ],
)
def test_the_fewer_the_hours_the_less_it_can_be_true(hours, verdict, words):
    found = judge(Claim(params_active=37e9, tokens=14.8e12, hours=hours), H800)
    assert found.verdict == verdict
    assert words in found.findings[0].because


def test_an_accelerator_without_fp8_has_no_such_way_out():
    a100 = gpu("a100")
    hours = 6 * 7e9 * 2e12 / (0.6 * a100.bf16 * 1e12) / 3600
    assert judge(Claim(params_active=7e9, tokens=2e12, hours=hours), a100).verdict == "implausible"


@pytest.mark.parametrize(
    ("reported", "verdict"),
    [(5.576e6, "plausible"), (5.4e6, "plausible"), (5.0e6, "implausible"), (9.0e6, "undecided")],
)
def test_money_that_is_less_than_its_own_hours_cost_is_implausible(reported, verdict):
    claim = Claim(params_active=37e9, tokens=14.8e12, hours=2.788e6, price=2.0, reported=reported)
    assert judge(claim, H800).verdict == verdict


def test_hours_that_do_not_fit_into_the_days_are_implausible():
    short = Claim(params_active=37e9, tokens=14.8e12, hours=2.788e6, gpus=2048, days=40)
    enough = Claim(params_active=37e9, tokens=14.8e12, hours=2.788e6, gpus=2048, days=60)
    assert judge(short, H800).verdict == "implausible"
    assert judge(enough, H800).verdict == "plausible"


def test_hours_follow_from_the_money_where_only_that_was_said():
    found = judge(Claim(params_active=37e9, tokens=14.8e12, price=2.0, reported=5.576e6), H800)
    assert found.hours == pytest.approx(2.788e6)
    assert found.verdict == "plausible"


def test_without_anything_to_check_it_stays_undecided():
    for claim, board in ((Claim(), None), (Claim(tokens=1e12), H800), (V3, None)):
        assert judge(claim, board).verdict == "undecided"
    assert judge(Claim(), None).findings[0].because == "too little was claimed"


def test_a_student_whose_teacher_was_as_large_leaves_out_at_least_a_third():
    found = judge(V3, H800).distilled
    assert found.share_of_training == pytest.approx(1 / 3)
    assert found.flops == pytest.approx(2 * 37e9 * 14.8e12)
    assert found.hours == pytest.approx(2.788e6 / 3)
    assert found.money == pytest.approx(5.576e6 / 3)
    assert found.times_reported == pytest.approx(4 / 3)
    assert len(found.assumed) == 3


def test_r1s_students_cost_what_their_teacher_cost_besides():
    # 800,000 answers of about 5,000 tokens, written by R1; V3 and R1 had been trained before.
    teacher = Teacher(params_active=37e9, tokens=800e3 * 5e3, price_per_million=2.19, reported=5.576e6 + 294e3)
    student = Claim(params_active=7e9, tokens=800e3 * 5e3, price=2.0, hours=1500, reported=3000)
    found = judge(student, gpu("h100"), teacher).distilled
    assert found.money == pytest.approx(8760)
    assert found.share_of_training == pytest.approx(37 / 21)
    assert found.total == pytest.approx(3000 + 8760 + 5.87e6)
    assert found.times_reported == pytest.approx(1960.6, rel=1e-3)
    assert found.assumed == ()


def test_what_every_claim_leaves_out_is_said():
    text = " ".join(judge(V3, H800).left_out)
    for word in ("failed", "people", "data", "rent", "attention"):
        assert word in text


@pytest.mark.parametrize("bad", [{"tokens": 0.0}, {"hours": -1.0}, {"price": math.inf}, {"params_active": math.nan}])
def test_numbers_that_can_not_be_meant_are_refused(bad):
    with pytest.raises(UsageError, match=next(iter(bad))):
        Claim(**bad)


@given(st.floats(1e3, 1e9), st.floats(1e6, 1e12), st.floats(1e9, 1e14))
def test_the_verdict_follows_the_bounds(hours, params, tokens):
    found = judge(Claim(params_active=params, tokens=tokens, hours=hours), H800)
    if LOWEST_PUBLISHED <= found.utilisation <= HIGHEST_PUBLISHED:
        assert found.verdict == "plausible"
    elif found.utilisation_fp8 > HIGHEST_PUBLISHED:
        assert found.verdict == "implausible"
    else:
        assert found.verdict == "undecided"
