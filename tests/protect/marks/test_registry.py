from __future__ import annotations

import pytest

from spiritsafe.errors import UsageError
from spiritsafe.protect.marks.kgw import Kgw
from spiritsafe.protect.marks.registry import EXAMPLES, mark


def test_a_name_holds_every_parameter() -> None:
    assert mark("kgw-k2-g0.25-d1.5") == Kgw(2, 64, 1.5)
    assert mark("tournament-m20-k3").name == "tournament-m20-k3"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "kgw",
        "kgw-k1",
        "kgw-k0-g0.25-d2",
        "kgw-k9-g0.25-d2",
        "kgw-k1-g0.3-d2",
        "kgw-k1-g0-d2",
        "kgw-k1-g1-d2",
        "kgw-k1-g0.25-d0",
        "kgw-k1-g0.25-d-2",
        "kgw-k1.5-g0.25-d2",
        "gumbel",
        "gumbel-k2-x",
        "tournament-m0-k1",
        "tournament-m33-k1",
        "choice-n1-k2",
        "choice-n99-k2",
        "stamp-k1",
    ],
)
def test_a_name_that_means_nothing_is_refused_with_those_that_do(name: str) -> None:
    with pytest.raises(UsageError, match="no mark") as caught:
        mark(name)
    assert EXAMPLES[0] in str(caught.value)
