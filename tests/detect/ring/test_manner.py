from __future__ import annotations

import numpy as np

from spiritsafe.detect.cores import Cores
from spiritsafe.detect.moments import Moments
from spiritsafe.detect.ring.manner import manner
from spiritsafe.detect.types import LinkTable

NONE = np.zeros(0, dtype=np.int64)


def test_it_counts_by_customer_and_says_nothing_without_data() -> None:
    moments, cores = Moments(), Cores()
    moments.learn(np.repeat(np.arange(6), 50), np.full(300, 1.8e9))
    cores.learn(np.repeat(np.arange(6), 50), np.arange(300, dtype=np.uint64))
    bare = LinkTable(tuple("abcdef"), NONE, NONE, NONE.astype(np.uint64))
    table = LinkTable(tuple("abcdef"), NONE, NONE, NONE.astype(np.uint64), moments=moments, cores=cores)
    amounts, samples = manner("ring-1", np.arange(6), np.array([0, 0, 1, 1, 2, 2]), table)
    assert (amounts.family, amounts.result.n) == ("when", 3)
    assert "about 100 times" in amounts.result.because[0]
    assert samples.family == "drawn"
    assert [e.family for e in manner("ring-1", np.arange(6), None, table)] == ["drawn"]
    assert manner("ring-1", np.arange(6), None, bare) == ()
