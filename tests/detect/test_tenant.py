from __future__ import annotations

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.account import ACCOUNT_DETECTORS
from spiritsafe.detect.tenant import BLOCK, CHECKPOINTS, KEPT, MOST_VALUES, Tenant, TenantState

WIDTHS = (256, 3, 1)


def keys(start: int, n: int) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.uint64)


def rows(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((n, width)).astype(np.float32) for width in WIDTHS]


def learn(tenant: Tenant, keys: np.ndarray, features: list[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    return tenant.learn(ACCOUNT_DETECTORS, keys, features, np.arange(len(keys)))


@pytest.fixture
def tenant() -> Tenant:
    return Tenant("a", ACCOUNT_DETECTORS)


def test_windows_come_at_checkpoints_and_never_in_between(tenant: Tenant) -> None:
    passed = learn(tenant, keys(0, 100), rows(100))
    assert [w[0][0] for w in passed] == sorted(c for c in CHECKPOINTS if c <= 100)
    assert [w[0][0] for w in tenant.windows(ACCOUNT_DETECTORS)] == [96]


def test_one_at_a_time_and_all_at_once_are_the_same(tenant: Tenant) -> None:
    features = rows(300)
    at_once = learn(tenant, keys(0, 300), features)
    other = Tenant("a", ACCOUNT_DETECTORS)
    singly = [w for i in range(300) for w in learn(other, keys(i, 1), [f[i : i + 1] for f in features])]
    for a, b in zip(at_once, singly, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5)


def test_a_prompt_counts_once_a_block(tenant: Tenant) -> None:
    same = np.tile(keys(0, 10), 50)
    assert learn(tenant, same, rows(500)) == []
    assert len(tenant.seen) == 10


def test_a_full_block_is_kept_and_the_next_starts_afresh(tenant: Tenant) -> None:
    learn(tenant, keys(0, BLOCK + 16), rows(BLOCK + 16))
    assert [w[0][0] for w in tenant.windows(ACCOUNT_DETECTORS)] == [BLOCK, 16]


def test_memory_is_bounded_whatever_an_account_sends(tenant: Tenant) -> None:
    for part in range(20):
        learn(tenant, keys(part * 1000, 1000), rows(1000))
        for value in range(100):
            tenant.share(0, part * 100 + value)
    assert len(tenant.windows(ACCOUNT_DETECTORS)) <= KEPT + 1
    assert len(tenant.shared) == MOST_VALUES
    assert len(msgspec.msgpack.encode(tenant.state(ACCOUNT_DETECTORS))) < 64 * 1024


def test_a_state_goes_on_where_it_stopped(tenant: Tenant) -> None:
    features = rows(120)
    learn(tenant, keys(0, 50), [f[:50] for f in features])
    tenant.share(0, 2**64 - 1)
    tenant.models.add("teacher")
    tenant.best = [(0.5, 0.6, 48), (0.3, 0.4, 48), (0.1, 0.2, 48)]
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(tenant.state(ACCOUNT_DETECTORS)), type=TenantState)
    again = Tenant.from_state(stored, ACCOUNT_DETECTORS)
    assert again.state(ACCOUNT_DETECTORS) == tenant.state(ACCOUNT_DETECTORS)
    one = learn(tenant, keys(40, 80), [f[40:] for f in features])
    two = learn(again, keys(40, 80), [f[40:] for f in features])
    for a, b in zip(one, two, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_new_period_forgets_what_was_asked_but_not_what_is_shared(tenant: Tenant) -> None:
    learn(tenant, keys(0, 60), rows(60))
    tenant.share(0, 1)
    tenant.best = [(0.5, 0.6, 48), (0.3, 0.4, 48), (0.1, 0.2, 48)]
    tenant.start(ACCOUNT_DETECTORS, 5.0)
    assert tenant.windows(ACCOUNT_DETECTORS) == []
    assert tenant.best == []
    assert tenant.shared == {(0, 1)}


def test_a_value_is_new_once(tenant: Tenant) -> None:
    assert tenant.share(0, 1)
    assert not tenant.share(0, 1)
    assert tenant.share(1, 1)
