"""The values say by themselves whether they are live, cover a model, or bind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from spiritsafe.store.models import ACTIONS, Decision, Grant, Key, strictness

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)

KEY = Key(key_id="k", account_id="a", prefix="ssk_abcdefgh", hash=b"h", created=EARLIER)
GRANT = Grant(grant_id="g", account_id="a", model="small-*", purpose="study", by="ann", created=EARLIER)
DECISION = Decision(
    decision_id="d",
    time=EARLIER,
    subject="a",
    subject_kind="account",
    accounts=("a",),
    action="throttle",
    rule="r",
    reasons=(),
    evidence=(),
    by="ann",
    status="in_force",
)


def test_the_ladder_goes_from_observing_to_suspending() -> None:
    assert ACTIONS == ("observe", "notify", "verify", "throttle", "withhold", "suspend")
    assert [strictness(action) for action in ACTIONS] == list(range(6))


@pytest.mark.parametrize(
    ("expires", "revoked", "state"),
    [
        (None, None, "live"),
        (LATER, None, "live"),
        (NOW, None, "expired"),
        (EARLIER, None, "expired"),
        (LATER, NOW, "revoked"),
        (EARLIER, EARLIER, "revoked"),
    ],
)
def test_a_key_is_live_until_it_expires_or_is_revoked(expires, revoked, state) -> None:
    assert msgspec.structs.replace(KEY, expires=expires, revoked=revoked).state(NOW) == state


@pytest.mark.parametrize(
    ("change", "covered"),
    [
        ({}, True),
        ({"expires": LATER}, True),
        ({"expires": NOW}, False),
        ({"revoked": EARLIER}, False),
        ({"quota_requests": 10, "used_requests": 9}, True),
        ({"quota_requests": 10, "used_requests": 10}, False),
        ({"quota_tokens": 10, "used_tokens": 10}, False),
        ({"model": "*"}, True),
        ({"model": "large-*"}, False),
        ({"model": "SMALL-*"}, False),
    ],
)
def test_a_grant_covers_its_models_while_it_is_live_and_within_quota(change, covered) -> None:
    assert msgspec.structs.replace(GRANT, **change).covers("small-2", NOW) is covered


def test_a_model_without_a_name_is_covered_by_a_grant_for_all_of_them_alone() -> None:
    assert not GRANT.covers(None, NOW)
    assert msgspec.structs.replace(GRANT, model="*").covers(None, NOW)


@pytest.mark.parametrize(
    ("change", "binds"),
    [
        ({}, True),
        ({"expires": LATER}, True),
        ({"expires": NOW}, False),
        ({"status": "pending"}, False),
        ({"status": "reversed"}, False),
        ({"status": "expired"}, False),
    ],
)
def test_a_decision_binds_while_in_force_and_not_run_out(change, binds) -> None:
    assert msgspec.structs.replace(DECISION, **change).in_force(NOW) is binds
