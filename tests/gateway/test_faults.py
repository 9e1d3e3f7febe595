from __future__ import annotations

from spiritsafe.errors import SpiritsafeError
from spiritsafe.gateway.faults import KINDS, Fault


def test_a_fault_says_what_to_do_and_has_its_reasons_status() -> None:
    fault = Fault("invalid_key", "this key is not known", remedy="Check it.")
    assert isinstance(fault, SpiritsafeError)
    assert str(fault) == "this key is not known. Check it."
    assert (fault.status, fault.detail, fault.ruling) == (401, {}, None)


def test_an_upstreams_status_overrides_the_usual_one() -> None:
    assert Fault("upstream_rejected", "x", remedy="y", status=422).status == 422


def test_every_reason_is_an_error_status() -> None:
    assert all(400 <= kind.status < 600 for kind in KINDS.values())
