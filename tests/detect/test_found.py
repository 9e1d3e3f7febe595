from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spiritsafe.detect.account.coverage import Coverage
from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.comparable import Comparable
from spiritsafe.detect.found import Judged, findings
from spiritsafe.detect.judge import FromOwnLog, FromReference, Scored
from spiritsafe.detect.tenant import Tenant
from spiritsafe.detect.types import Basis, Measured, Ring
from spiritsafe.stats.conformal import Reference

NAMES = tuple(f"a{i}" for i in range(12))


def judged(high: int = 4, accounts: int = 50, granted: Sequence[str] = ()) -> Judged:
    statistic = np.where(np.arange(12) < high, 0.99, 0.2)
    scores = Reference.of(np.linspace(0.0, 0.9, 400))
    measured = Measured(statistic, statistic, np.full(12, 100))
    scored = Scored(Elicitation(), measured, FromReference(statistic, scores))
    return Judged(NAMES, (scored,), frozenset(granted), accounts, "because")


def tenants_of(names: Sequence[str]) -> dict[str, Tenant]:
    return {name: Tenant(name, ()) for name in names}


def tenants() -> dict[str, Tenant]:
    made = tenants_of((*NAMES, "quiet"))
    made["a0"].models.add("teacher")
    return made


def ring(accounts: Sequence[str], basis: Basis = "when", reasons: dict[str, str] | None = None) -> Ring:
    return Ring(
        ring_id="r",
        accounts=tuple(accounts),
        kinds=("rhythm",),
        links=(),
        log10_p=-9.0,
        honest_group=1,
        because=("x",),
        basis=basis,
        customers=tuple((name,) for name in accounts),
        reasons=reasons or {},
    )


def test_all_accounts_that_were_seen_count_also_those_that_asked_too_little() -> None:
    assert findings(judged(accounts=50), [], tenants(), -99.0).tested == 50
    assert findings(judged(accounts=50), [ring(NAMES[:4])], tenants(), -99.0).tested == 51


def test_only_what_is_notable_is_spelt_out() -> None:
    found = findings(judged(high=4), [], tenants(), 1.0).findings
    assert [f.subject for f in found] == ["a0", "a1", "a2", "a3"]
    assert found[0].models == ("teacher",)


def test_members_are_accused_for_their_reasons_or_else_by_their_own_evidence() -> None:
    with_reasons, without = (
        findings(judged(), [ring(NAMES[:6], reasons=why)], tenants(), -99.0).findings[-1]
        for why in ({"a5": "its own hours", "quiet": "its own hours"}, None)
    )
    assert with_reasons.accused == ("a5", "quiet")
    assert with_reasons.reasons["quiet"] == "its own hours"
    assert without.accused == ("a0", "a1", "a2", "a3")


def test_who_holds_a_grant_is_in_no_ring() -> None:
    found = findings(judged(granted=("a0",)), [ring(NAMES[:6], reasons={"a0": "x", "a1": "x"})], tenants(), -99.0)
    last = found.findings[-1]
    assert "a0" not in (*last.accounts, *last.accused, *last.reasons)


def test_a_ring_of_which_too_few_were_scored_is_none() -> None:
    assert findings(judged(), [ring(("a0", "a1", "quiet"))], tenants(), -99.0).tested == 50


def test_customers_found_by_their_hours_are_held_against_their_kind_by_what_compares_with_peers() -> None:
    rng = np.random.default_rng(1)
    names = tuple(f"a{i}" for i in range(400))
    statistic = np.where(np.arange(400) < 8, 9.0, rng.random(400))
    measured = Measured(statistic, statistic, np.full(400, 100))
    scored = [Scored(detector, measured, FromOwnLog(statistic, "x")) for detector in (Elicitation(), Coverage())]
    same = np.zeros(400, dtype=np.int64)
    comparable = Comparable.of(names, same, same + 50, np.arange(400), looks=2)
    held = Judged(names, scored, frozenset(), 400, "because", None, comparable)
    step, alike = (findings(held, [ring(names[:8], basis)], tenants_of(names), -99.0) for basis in ("when", "asked"))
    (told,) = step.findings[-1].evidence
    assert told.result.name == "elicitation"
    assert told.result.log10_e > 4.0
    assert "8 of its customers" in told.result.because[1]
    assert {item.result.name for item in alike.findings[-1].evidence} == {"elicitation", "coverage"}
