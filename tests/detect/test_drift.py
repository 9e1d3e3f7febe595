from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from spiritsafe.detect.calibrate import reference_of
from spiritsafe.detect.drift import LEAST, log10_drift
from spiritsafe.detect.features import Batch
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Calibration, Reference
from spiritsafe.detect.types import Evaluation, Finding
from spiritsafe.stats.conformal import Reference as Scores
from spiritsafe.stats.result import Conformal, Evidence, Result

MADE = datetime(2026, 3, 1, tzinfo=UTC)


def made_of(scores: np.ndarray) -> Reference:
    held = Calibration(version=1, scores=np.sort(scores).astype("<f8").tobytes())
    return Reference(
        made=MADE, source="x", accounts=9, horizon=1.0, honest_group=3, peers=[], shared=[], detectors={"d": held}
    )


def seen(reference: Reference, scores: np.ndarray, ringed: int = 0) -> Evaluation:
    """Accounts with these scores; the first ``ringed`` of them accused with a ring."""
    known = Scores.of(np.frombuffer(reference.detectors["d"].scores, dtype="<f8"))
    findings = []
    for number, p in enumerate(known.p(scores)):
        result = Result(
            name="d",
            version=1,
            subject=f"a{number}",
            null="x",
            statistic=0.0,
            p_value=float(p),
            log10_e=0.0,
            n=1,
            unit="x",
            effect=0.0,
            method=Conformal(reference="x", n=len(known.scores)),
            because=(),
        )
        evidence = (Evidence(family="asked", result=result),)
        findings.append(
            Finding(subject=f"a{number}", subject_kind="account", accounts=(f"a{number}",), evidence=evidence)
        )
    names = tuple(f"a{number}" for number in range(ringed))
    ring = Finding(subject="r", subject_kind="ring", accounts=names, accused=names, evidence=())
    return Evaluation(findings=(*findings, ring), tested=len(findings), because=())


def test_without_drift_it_speaks_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    log10_p = np.array(
        [log10_drift(seen(r, rng.normal(size=90)), r) for r in (made_of(rng.normal(size=120)) for _ in range(600))]
    )
    for level, most in ((0.05, 48), (0.01, 15)):  # the .999 quantile of the binomial counts
        assert (log10_p <= np.log10(level)).sum() <= most


def test_it_sees_stranger_accounts_the_better_the_more_there_are_and_no_ordinary_ones() -> None:
    rng = np.random.default_rng(5)
    reference = made_of(rng.normal(size=2000))
    few, many = (log10_drift(seen(reference, rng.normal(0.4, 1, n)), reference) for n in (50, 800))
    assert many < few
    assert many < -10
    assert log10_drift(seen(reference, rng.normal(-2, 1, 800)), reference) > -0.5
    assert log10_drift(seen(reference, np.full(800, -9.0)), made_of(np.full(2000, -9.0))) > -0.5


def test_members_of_rings_are_no_drift_and_few_accounts_show_nothing() -> None:
    rng = np.random.default_rng(6)
    reference = made_of(rng.normal(size=500))
    scores = np.concatenate([rng.normal(5, 1, 200), rng.normal(size=200)])
    assert log10_drift(seen(reference, scores), reference) < -10
    assert log10_drift(seen(reference, scores, ringed=200), reference) > -3
    assert log10_drift(seen(reference, scores[: LEAST - 1]), reference) == 0.0
    assert log10_drift(Evaluation(findings=(), tested=0, because=()), reference) == 0.0


@pytest.mark.parametrize("moved", [False, True])
def test_traffic_of_other_kinds_is_drift(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], moved: bool
) -> None:
    old = Watch(collect=True)
    old.learn_batch(batch_of(honest(200)))
    reference = reference_of(old, made=MADE, source="x")
    watch = Watch(reference, ring_detectors=())
    watch.learn_batch(batch_of(honest(120, seed=1, kinds=40 if moved else 6)))
    found = log10_drift(watch.evaluate(notable=float("-inf")), reference)
    assert (found < -3) == moved
