from itertools import islice
from random import Random

import pytest

from spiritsafe.drill.tenants import evaluation


@pytest.mark.parametrize("seed", range(8))
def test_a_run_is_rigid(seed: int) -> None:
    asks = list(islice(evaluation.KIND.asks(Random(seed)), 80))
    assert {ask.temperature for ask in asks} == {0.0}
    assert len({ask.prompt.split()[0] for ask in asks}) == 1, "one template from end to end"


@pytest.mark.parametrize("suite", evaluation.SUITES)
def test_a_suite_has_thousands_of_items(suite: str) -> None:
    assert evaluation.SUITES[suite].count() > 500
