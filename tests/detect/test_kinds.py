from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spiritsafe.detect.features import Batch
from spiritsafe.detect.kinds import ACCOUNTS_EACH, BY, OTHER, directions, kind_names, kinds_of, nearest
from spiritsafe.detect.online import Watch


def crowd(honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], n: int, kinds: int) -> Watch:
    watch = Watch()
    watch.learn_batch(batch_of(honest(n, kinds=kinds)))
    return watch


def test_accounts_that_ask_alike_are_of_one_kind(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], centres: Callable[..., np.ndarray]
) -> None:
    actors = honest(6 * ACCOUNTS_EACH, kinds=4)
    watch = Watch()
    watch.learn_batch(batch_of(actors))
    tenants = [tenant for tenant in watch.tenants.values() if tenant.windows(watch.detectors)]
    kinds = kinds_of(watch.detectors, tenants)
    assert sum(kind.accounts for kind in kinds) == len(tenants)
    assert [kind.accounts for kind in kinds] == sorted((kind.accounts for kind in kinds), reverse=True)
    pool = centres(4, 7)
    truth = {actor.name: int((pool @ actor.centre).argmax()) for actor in actors}
    found: dict[str, set[int]] = {}
    for name, tenant in zip(kind_names(kinds, watch.detectors, tenants), tenants, strict=True):
        found.setdefault(name, set()).add(truth[tenant.account_id])
    assert all(len(mixed) == 1 for mixed in found.values())
    assert kinds == kinds_of(watch.detectors, tenants)


def test_few_accounts_are_one_kind_and_none_are_none(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = crowd(honest, batch_of, 30, 4)
    tenants = [tenant for tenant in watch.tenants.values() if tenant.windows(watch.detectors)]
    assert [kind.name for kind in kinds_of(watch.detectors, tenants)] == ["kind-1"]
    assert kinds_of(watch.detectors, []) == []
    assert kind_names([], watch.detectors, tenants) == [OTHER] * len(tenants)


def test_without_the_detector_of_what_is_asked_there_are_no_kinds(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    blind = Watch(detectors=[detector for detector in Watch().detectors if detector.name != BY])
    blind.learn_batch(batch_of(honest(30)))
    tenants = [tenant for tenant in blind.tenants.values() if tenant.windows(blind.detectors)]
    assert kinds_of(blind.detectors, tenants) == []


def test_points_that_say_nothing_are_of_no_kind(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = crowd(honest, batch_of, 30, 4)
    kinds = kinds_of(watch.detectors, list(watch.tenants.values()))
    window = np.concatenate([[3.0], np.ones(256)]).astype(np.float32)
    none = window[:0]
    assert nearest(kinds, directions([window, none])).tolist() == [0, 1]
    assert nearest(kinds, directions([none, none])).tolist() == [1, 1]
    assert nearest([], directions([window])).tolist() == [0]
    assert nearest(kinds, directions([])).tolist() == []
