from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.detect import detect
from spiritsafe.protect.marks.kgw import Kgw
from spiritsafe.protect.rehearsal import Chain

MARK = Kgw(1, 64, 2.0)


def test_green_logits_rise_by_delta_and_red_ones_stay() -> None:
    logits = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    lanes = np.array([63, 64, 0], dtype=np.uint32)
    np.testing.assert_allclose(MARK.reweigh(logits, lanes), [3.0, -2.0, 2.5])


def test_its_name_and_null_say_its_parameters() -> None:
    assert Kgw(2, 77, 1.5).name == "kgw-k2-g0.30078125-d1.5"
    assert MARK.name == "kgw-k1-g0.25-d2"
    assert (MARK.mean, MARK.distribution) == (0.25, "binomial, chance 0.25")


@pytest.mark.parametrize(("delta", "least"), [(1.0, 4.0), (2.0, 9.0), (4.0, 14.0)])
def test_more_delta_leaves_more_to_find(delta: float, least: float, writer2: Chain, key: MarkKey) -> None:
    mark = Kgw(1, 64, delta)
    text = writer2.marked(mark, key).write(20, 150, np.random.default_rng(0))
    assert detect(mark, key, text, subject="text", decoys=0).exact.statistic > least


def test_evidence_grows_with_the_length_of_the_text(writer2: Chain, key: MarkKey) -> None:
    text = writer2.marked(MARK, key).write(40, 100, np.random.default_rng(1))
    es = [detect(MARK, key, text[:n], subject="text", decoys=0).exact.log10_e for n in (3, 10, 40)]
    assert es == sorted(es)
    assert es[0] > 1
