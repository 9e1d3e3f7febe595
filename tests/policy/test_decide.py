from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.types import Finding
from spiritsafe.policy.decide import accuses, changes, decide, permits
from spiritsafe.policy.rules import Rules, default
from spiritsafe.store.models import Decision, Grant

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Make = Callable[..., Finding]
RULES = default()
MEMBERS = tuple(f"m{i}" for i in range(20))


def grant(account: str, **more: object) -> Grant:
    values = {"grant_id": f"g-{account}", "model": "*", "purpose": "distil", "by": "x", "created": NOW, **more}
    return Grant(account_id=account, **values)  # type: ignore[arg-type]


def actions(decisions: list[Decision]) -> list[tuple[str, str, str]]:
    return [(d.subject, d.action, d.status) for d in decisions]


def test_a_ring_of_two_families_waits_for_a_person_and_is_withheld_from_meanwhile(finding: Make) -> None:
    found = decide([finding("r", MEMBERS, asked=9.0, phrased=4.0, together=8.0)], [], RULES, NOW, tested=4000)
    assert actions(found) == [("r", "suspend", "pending"), ("r", "withhold", "in_force")]
    suspend, withhold = found
    assert suspend.needs_person
    assert not withhold.needs_person
    assert suspend.accounts == MEMBERS
    assert suspend.by == f"policy:{RULES.digest()}"
    assert suspend.expires == NOW + timedelta(days=14)
    assert suspend.decision_id != withhold.decision_id


def test_one_family_however_strong_sanctions_nobody(finding: Make) -> None:
    for family in ("asked", "phrased", "together"):
        others = {name: -0.5 for name in ("asked", "phrased", "together") if name != family}
        found = decide([finding("r", MEMBERS, **{family: 250.0}, **others)], [], RULES, NOW, tested=10)
        assert not any(accuses(d.action, RULES) for d in found)


def test_a_large_narrow_company_is_asked_who_it_is_and_not_accused(finding: Make) -> None:
    # Who they are and what they ask about is far from all others; how they ask is like everyone.
    found = decide([finding("r", MEMBERS, asked=12.0, phrased=0.1, together=12.0)], [], RULES, NOW, tested=4000)
    assert actions(found) == [("r", "verify", "in_force")]
    assert not accuses("verify", RULES)


def test_a_lone_account_needs_both_its_families(finding: Make) -> None:
    strong = decide([finding("a", asked=6.5, phrased=6.5)], [], RULES, NOW, tested=4000)
    weak = decide([finding("a", asked=6.5, phrased=0.3)], [], RULES, NOW, tested=4000)
    assert actions(strong) == [("a", "withhold", "in_force")]
    assert actions(weak) == [("a", "observe", "in_force")]


def test_the_more_was_tested_the_more_it_takes(finding: Make) -> None:
    subject = finding("a", asked=4.0, phrased=4.0)
    assert decide([subject], [], RULES, NOW, tested=10)[0].action == "withhold"
    assert decide([subject], [], RULES, NOW, tested=100_000)[0].action == "notify"


def test_many_alike_make_each_other_easier_to_believe(finding: Make) -> None:
    many = [finding(f"a{i}", asked=3.5, phrased=3.5) for i in range(100)]
    assert {d.action for d in decide(many, [], RULES, NOW, tested=1000)} == {"withhold"}
    assert {d.action for d in decide(many[:1], [], RULES, NOW, tested=1000)} == {"notify"}


def test_nothing_worth_a_rule_is_no_decision(finding: Make) -> None:
    assert decide([finding("a", asked=0.5, phrased=0.2)], [], RULES, NOW, tested=10) == []
    assert decide([], [], RULES, NOW) == []


def test_a_grant_is_read_before_any_score(finding: Make) -> None:
    subject = finding("a", asked=9.0, phrased=9.0)
    assert decide([subject], [grant("a")], RULES, NOW, tested=10) == []
    assert decide([subject], [grant("b")], RULES, NOW, tested=10) != []


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "research"},
        {"model": "other"},
        {"revoked": NOW},
        {"expires": NOW - timedelta(days=1)},
        {"quota_requests": 5, "used_requests": 5},
        {"quota_tokens": 5, "used_tokens": 9},
    ],
)
def test_a_grant_counts_within_its_purpose_model_quota_and_time_only(finding: Make, change: dict[str, object]) -> None:
    held = grant("a", **change)
    assert not permits(held, ("m",), RULES, NOW)
    assert decide([finding("a", asked=9.0, phrased=9.0)], [held], RULES, NOW, tested=10) != []


def test_a_grant_must_cover_every_model_asked_for_and_an_unknown_one_is_read_in_favour() -> None:
    held = grant("a", model="small-*")
    assert permits(held, ("small-1", "small-2"), RULES, NOW)
    assert not permits(held, ("small-1", "large"), RULES, NOW)
    assert permits(held, ("",), RULES, NOW)
    assert permits(held, (), RULES, NOW)


def test_a_permitted_member_is_left_out_of_its_ring_and_it_says_so(finding: Make) -> None:
    ring = finding("r", MEMBERS, asked=9.0, phrased=4.0, together=8.0)
    found = decide([ring], [grant("m3")], RULES, NOW, tested=100)
    assert all("m3" not in d.accounts for d in found)
    assert any("m3 holds grant g-m3 and is left out" in reason for reason in found[0].reasons)


def test_a_ring_of_permitted_members_is_no_ring(finding: Make) -> None:
    ring = finding("r", MEMBERS, asked=9.0, phrased=4.0, together=8.0)
    assert decide([ring], [grant(m) for m in MEMBERS], RULES, NOW, tested=100) == []


def test_only_the_accused_are_covered_and_bystanders_are_counted(finding: Make) -> None:
    ring = msgspec.structs.replace(finding("r", MEMBERS, asked=9.0, phrased=4.0, together=8.0), accused=MEMBERS[:15])
    found = decide([ring], [], RULES, NOW, tested=100)[0]
    assert found.accounts == MEMBERS[:15]
    assert any("5 linked accounts are left out" in reason for reason in found.reasons)


def test_every_decision_has_its_evidence_reasons_and_appeal_route(finding: Make) -> None:
    found = decide([finding("a", asked=9.0, phrased=9.0)], [], RULES, NOW, tested=10)[0]
    assert found.reasons[0].startswith("evidence from at least 2 of 2 families: 10^9.0 to 1")
    assert {"asked was seen", "phrased was seen"} <= set(found.reasons)
    assert found.reasons[-1] == RULES.appeal
    assert len(found.evidence) == 2


def test_it_is_a_pure_function(finding: Make) -> None:
    subjects = [finding("a", asked=9.0, phrased=9.0), finding("b", asked=3.0, phrased=0.0)]
    assert decide(subjects, [], RULES, NOW, tested=10) == decide(subjects, [], RULES, NOW, tested=10)


def test_decisions_are_told_apart_by_time_and_members(finding: Make) -> None:
    subject = finding("a", asked=9.0, phrased=9.0)
    now = decide([subject], [], RULES, NOW, tested=10)[0].decision_id
    assert decide([subject], [], RULES, NOW + timedelta(seconds=1), tested=10)[0].decision_id != now


def test_what_was_said_before_is_not_said_again(finding: Make) -> None:
    first = decide([finding("r", MEMBERS[:10], asked=9.0, phrased=4.0, together=8.0)], [], RULES, NOW, tested=100)
    same = decide([finding("r", MEMBERS[:9], asked=9.5, phrased=4.0, together=8.0)], [], RULES, NOW, tested=100)
    more = decide([finding("r", MEMBERS, asked=9.0, phrased=4.0, together=8.0)], [], RULES, NOW, tested=100)
    assert changes(first, []) == first
    assert changes(same, first) == []
    assert changes(more, first) == more


def test_what_a_person_reversed_stays_so_and_what_lapsed_may_come_again(finding: Make) -> None:
    found = decide([finding("a", asked=9.0, phrased=9.0)], [], RULES, NOW, tested=10)
    reversed_ = [msgspec.structs.replace(d, status="reversed") for d in found]
    lapsed = [msgspec.structs.replace(d, status="expired") for d in found]
    assert changes(found, reversed_) == []
    assert changes(found, lapsed) == found


def test_the_false_discovery_rate_is_kept_with_dependent_subjects(finding: Make) -> None:
    # Subjects of a block share one bet, families share half of theirs; a tenth are truly harvesting.
    rng = np.random.default_rng(4)
    rules = msgspec.structs.replace(RULES, fdr=0.1)
    shares = []
    for _ in range(150):
        common = rng.random(9).repeat(10)
        false = []
        for i in range(90):
            p = np.array([common[i], common[i] if i % 2 else rng.random()])
            bets = np.where(p <= 0.002, np.log10(500.0), -9.0)
            false.append(finding(f"h{i}", asked=float(bets[0]), phrased=float(bets[1])))
        true = [finding(f"t{i}", asked=4.0, phrased=4.0) for i in range(10)]
        picked = [d.subject for d in decide([*false, *true], [], rules, NOW) if accuses(d.action, rules)]
        shares.append(sum(s.startswith("h") for s in picked) / max(len(picked), 1))
    assert np.mean(shares) <= 0.1


def test_rules_of_ones_own_decide(finding: Make) -> None:
    rule = msgspec.structs.replace(RULES.rules[1], log10_e=2.0, certain=None, families=1, action="verify")
    rules: Rules = msgspec.structs.replace(RULES, rules=(rule,))
    assert decide([finding("a", asked=3.0)], [], rules, NOW)[0].action == "verify"
    both = msgspec.structs.replace(rule, families=2)
    assert decide([finding("a", asked=3.0)], [], msgspec.structs.replace(RULES, rules=(both,)), NOW) == []
