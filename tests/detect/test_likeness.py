from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spiritsafe.detect.features import Batch
from spiritsafe.detect.kinds import BY, kind_names, kinds_of
from spiritsafe.detect.likeness import alike, words
from spiritsafe.detect.online import Watch


@pytest.fixture
def crowd(actor: type[Any], batch_of: Callable[..., Batch], centres: Callable[..., np.ndarray]) -> Watch:
    """Honest accounts of three kinds, and one that lies between the second and something nobody asks about."""
    pool = centres(4, 7)
    honest = [actor(f"h{i}", pool[i % 3], 40, spread=0.05) for i in range(180)]
    odd = pool[1] + 0.7 * pool[3]
    watch = Watch()
    watch.learn_batch(batch_of([*honest, actor("odd", odd / np.linalg.norm(odd), 40, spread=0.05)]))
    return watch


def test_the_nearest_kind_is_named_with_its_distance_and_that_of_its_own(crowd: Watch) -> None:
    honest = [tenant for name, tenant in crowd.tenants.items() if name != "odd"]
    odd = crowd.tenants["odd"]
    kinds = kinds_of(crowd.detectors, honest)
    own = dict(zip([t.account_id for t in honest], kind_names(kinds, crowd.detectors, honest), strict=True))
    found = alike(kinds, crowd.detectors, [odd], honest)
    assert found is not None
    assert found.kind == own["h1"]
    assert found.accounts == 60
    assert found.usual is not None
    assert found.widest is not None
    assert found.usual <= found.widest < found.distance < 1.0
    assert found.distance == pytest.approx(1.0 - 1.0 / np.hypot(1.0, 0.7), abs=0.05)
    assert found.example in {f"h{i}" for i in range(1, 180, 3)}
    itself = alike(kinds, crowd.detectors, [crowd.tenants["h1"]])
    assert itself is not None
    assert itself.distance <= 2.0 * (found.widest or 0.0)
    assert itself.example is None


def test_a_ring_is_compared_as_one(crowd: Watch) -> None:
    honest = [tenant for name, tenant in crowd.tenants.items() if name != "odd"]
    kinds = kinds_of(crowd.detectors, honest)
    own = dict(zip([t.account_id for t in honest], kind_names(kinds, crowd.detectors, honest), strict=True))
    found = alike(kinds, crowd.detectors, [crowd.tenants[f"h{i}"] for i in (2, 5, 8)])
    assert found is not None
    assert found.kind == own["h2"]


def test_in_words_no_account_is_named(crowd: Watch) -> None:
    honest = list(crowd.tenants.values())
    kinds = kinds_of(crowd.detectors, honest)
    found = alike(kinds, crowd.detectors, [crowd.tenants["odd"]], honest)
    assert found is not None
    said = words(found)
    assert found.kind in said
    assert f"{found.distance:.2f}" in said
    assert "95%" in said
    assert found.example is not None
    assert found.example not in said


def test_where_nothing_can_be_compared_it_is_silent(crowd: Watch) -> None:
    odd = crowd.tenants["odd"]
    assert alike([], crowd.detectors, [odd]) is None
    kinds = kinds_of(crowd.detectors, list(crowd.tenants.values()))
    assert alike(kinds, [d for d in crowd.detectors if d.name != BY], [odd]) is None
    quiet = Watch()
    assert alike(kinds, crowd.detectors, list(quiet.tenants.values())) is None
