from __future__ import annotations

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.account import ACCOUNT_DETECTORS
from spiritsafe.detect.account.coverage import Coverage
from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.account.logprobs import Logprobs
from spiritsafe.detect.account.population import Population
from spiritsafe.detect.calls import PARAMS, Calls
from spiritsafe.detect.tenant import (
    BLOCK,
    CHECKPOINTS,
    FIRST_CALLS,
    KEPT,
    MOST_VALUES,
    WAITING,
    Tenant,
    TenantState,
    pieces,
)
from spiritsafe.record.sketch import sketch_texts

DETECTORS = (Population(), Coverage(), Elicitation(), Logprobs())
WIDTHS = (256, 3, 1)


def keys(start: int, n: int) -> np.ndarray:
    return np.arange(start, start + n, dtype=np.uint64)


def rows(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.random((n, width)).astype(np.float32) for width in WIDTHS]


def learn(tenant: Tenant, keys: np.ndarray, features: list[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    return tenant.learn(DETECTORS, keys, features, np.arange(len(keys)))


@pytest.fixture
def tenant() -> Tenant:
    return Tenant("a", DETECTORS)


def test_windows_come_at_checkpoints_and_never_in_between(tenant: Tenant) -> None:
    passed = learn(tenant, keys(0, 100), rows(100))
    assert [w[0][0] for w in passed] == sorted(c for c in CHECKPOINTS if c <= 100)
    assert [w[0][0] for w in tenant.windows(DETECTORS)] == [96]


def test_one_at_a_time_and_all_at_once_are_the_same(tenant: Tenant) -> None:
    features = rows(300)
    at_once = learn(tenant, keys(0, 300), features)
    other = Tenant("a", DETECTORS)
    singly = [w for i in range(300) for w in learn(other, keys(i, 1), [f[i : i + 1] for f in features])]
    for a, b in zip(at_once, singly, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-5)


def test_a_prompt_counts_once_a_block(tenant: Tenant) -> None:
    same = np.tile(keys(0, 10), 50)
    assert learn(tenant, same, rows(500)) == []
    assert len(tenant.seen) == 10


def test_pieces_end_at_checkpoints_and_go_on_where_they_stopped() -> None:
    asked = np.concatenate([keys(0, 15), keys(0, 15), keys(15, BLOCK - 15), keys(0, 3)])
    seen: set[int] = set()
    places = np.arange(len(asked))
    found = [*pieces(asked[:7], places[:7], seen), *pieces(asked[7:], places[7:], seen)]
    assert [piece.reached for piece in found] == [0, *sorted(CHECKPOINTS), 0]
    assert [place for piece in found for place in piece.every] == places.tolist()
    assert [place for piece in found for place in piece.fresh] == [*range(15), *range(30, len(asked))]
    assert len(seen) == 3


def test_a_full_block_is_kept_and_the_next_starts_afresh(tenant: Tenant) -> None:
    learn(tenant, keys(0, BLOCK + 16), rows(BLOCK + 16))
    assert [w[0][0] for w in tenant.windows(DETECTORS)] == [BLOCK, 16]


def test_memory_is_bounded_whatever_an_account_sends() -> None:
    # Every detector that ships, each with the widest features and the most state it can be given.
    tenant = Tenant("a", ACCOUNT_DETECTORS)
    rng = np.random.default_rng(1)
    n = 1000
    texts = [f"{i} {rng.integers(10**9)} {' '.join(map(str, rng.integers(0, 10**6, 8)))}" for i in range(n)]
    sketches = sketch_texts(texts)
    prompts = [d.features(sketches) for d in ACCOUNT_DETECTORS if d.sees == "prompts"]
    for part in range(12):
        seconds = 1.8e9 + (part * n + np.arange(n)) * 3600.0
        params = rng.integers(0, 5000, (n, len(PARAMS))).astype(np.float32)
        calls = Calls(seconds, rng.integers(1, 2**63, n).astype(np.uint64), params)
        tenant.learn(ACCOUNT_DETECTORS, keys(part * n, n), prompts, np.arange(n))
        tenant.learn_calls(ACCOUNT_DETECTORS, [d.features(calls) for d in ACCOUNT_DETECTORS if d.sees == "calls"])
        for value in range(100):
            tenant.share(0, part * 100 + value)
    assert len(tenant.windows(ACCOUNT_DETECTORS)) <= KEPT + 2
    assert len(tenant.shared) == MOST_VALUES
    assert len(msgspec.msgpack.encode(tenant.state(ACCOUNT_DETECTORS))) < 64 * 1024


def test_a_state_goes_on_where_it_stopped(tenant: Tenant) -> None:
    features = rows(120)
    learn(tenant, keys(0, 50), [f[:50] for f in features])
    tenant.share(0, 2**64 - 1)
    tenant.models.add("teacher")
    tenant.best = [(0.5, 0.6, 48), (0.3, 0.4, 48), (0.1, 0.2, 48), (0.2, 0.1, 48)]
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(tenant.state(DETECTORS)), type=TenantState)
    again = Tenant.from_state(stored, DETECTORS)
    assert again.state(DETECTORS) == tenant.state(DETECTORS)
    one = learn(tenant, keys(40, 80), [f[40:] for f in features])
    two = learn(again, keys(40, 80), [f[40:] for f in features])
    for a, b in zip(one, two, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_new_period_forgets_what_was_asked_but_not_what_is_shared(tenant: Tenant) -> None:
    learn(tenant, keys(0, 60), rows(60))
    tenant.share(0, 1)
    tenant.best = [(0.5, 0.6, 48), (0.3, 0.4, 48), (0.1, 0.2, 48), (0.2, 0.1, 48)]
    tenant.start(DETECTORS, 5.0)
    assert tenant.windows(DETECTORS) == []
    assert tenant.best == []
    assert tenant.shared == {(0, 1)}


def test_a_value_is_new_once(tenant: Tenant) -> None:
    assert tenant.share(0, 1)
    assert not tenant.share(0, 1)
    assert tenant.share(1, 1)


def logprobs(n: int, start: int = 0) -> list[np.ndarray]:
    asked = (np.arange(start, start + n) % 3 == 0).astype(np.float32)
    return [np.column_stack([np.ones(n, dtype=np.float32), asked])]


def test_calls_are_looked_at_when_their_number_has_doubled_and_half_way(tenant: Tenant) -> None:
    passed = tenant.learn_calls(DETECTORS, logprobs(200))
    assert [w[3][0] for w in passed] == [32, 48, 64, 96, 128, 192]
    assert all(len(window) == 0 for w in passed for window in w[:3])
    assert [w[3][0] for w in tenant.windows(DETECTORS)] == [200]
    assert tenant.largest(DETECTORS, 3)[0] == 200
    assert len(tenant.largest(DETECTORS, 0)) == 0


def test_calls_one_at_a_time_and_all_at_once_are_the_same(tenant: Tenant) -> None:
    other = Tenant("a", DETECTORS)
    at_once = tenant.learn_calls(DETECTORS, logprobs(3 * WAITING + 5))
    singly = [w for i in range(3 * WAITING + 5) for w in other.learn_calls(DETECTORS, logprobs(1, i))]
    assert [w[3].tolist() for w in at_once] == [w[3].tolist() for w in singly]
    assert tenant.state(DETECTORS) == other.state(DETECTORS)


def test_calls_that_wait_are_in_the_state(tenant: Tenant) -> None:
    tenant.learn_calls(DETECTORS, logprobs(FIRST_CALLS - 1))
    again = Tenant.from_state(tenant.state(DETECTORS), DETECTORS)
    assert tenant.windows(DETECTORS) == again.windows(DETECTORS) == []
    for each in (tenant, again):
        (window,) = each.learn_calls(DETECTORS, logprobs(1, FIRST_CALLS - 1))
        assert window[3].tolist() == [FIRST_CALLS, FIRST_CALLS, 11]


def test_a_full_block_of_prompts_leaves_the_calls_alone(tenant: Tenant) -> None:
    tenant.learn_calls(DETECTORS, logprobs(100))
    learn(tenant, keys(0, BLOCK), rows(BLOCK))
    assert tenant.largest(DETECTORS, 3)[0] == 100
    tenant.start(DETECTORS, 5.0)
    assert tenant.windows(DETECTORS) == []


def test_one_that_is_only_judged_shows_the_same_windows_and_learns_nothing(tenant: Tenant) -> None:
    learn(tenant, keys(0, BLOCK + 20), rows(BLOCK + 20))
    tenant.learn_calls(DETECTORS, logprobs(100))
    state = tenant.state(DETECTORS)
    judged = Tenant.from_state(state, DETECTORS, learns=False)
    whole = Tenant.from_state(state, DETECTORS)
    for mine, theirs in zip(judged.windows(DETECTORS), whole.windows(DETECTORS), strict=True):
        assert [window.tobytes() for window in mine] == [window.tobytes() for window in theirs]
    assert judged.largest(DETECTORS, 0).tobytes() == whole.largest(DETECTORS, 0).tobytes()
    assert judged.largest(DETECTORS, 3).tobytes() == whole.largest(DETECTORS, 3).tobytes()
    with pytest.raises(ValueError, match="shorter"):
        judged.learn(DETECTORS, keys(5000, 20), rows(20), np.arange(20))


def test_looking_at_what_is_kept_alone_keeps_the_same(tenant: Tenant) -> None:
    other = Tenant("a", DETECTORS)
    sketched = rows(2 * BLOCK + 70)
    at = np.arange(2 * BLOCK + 70)
    many = keys(0, 2 * BLOCK + 70)
    many[40:50] = many[10:20]
    passed: list[list[bytes]] = [[], []]
    for cut in np.array_split(at, 3):
        for who, held, every in ((tenant, passed[0], True), (other, passed[1], False)):
            windows = who.learn(DETECTORS, many[cut], sketched, cut, every_look=every)
            held += [w[0].tobytes() for w in windows]
            who.learn_calls(DETECTORS, logprobs(len(cut)), every_look=every)
    assert other.seen == tenant.seen
    for mine, theirs in zip(other.windows(DETECTORS), tenant.windows(DETECTORS), strict=True):
        assert [w.tolist() for w in mine] == [pytest.approx(w.tolist(), rel=1e-6) for w in theirs]
    assert len(passed[1]) < len(passed[0])
