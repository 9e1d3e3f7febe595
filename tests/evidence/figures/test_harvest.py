from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures import harvest
from spiritsafe.evidence.types import Affair, Asked


def test_a_task_counts_once_however_often_it_is_asked(affair: Affair) -> None:
    asked = (
        Asked(1.0, "r00", "served", 4),
        Asked(2.0, "r01", "refused", 5),
        Asked(3.0, "r01", "refused", 5),
        Asked(4.0, "r00", "served", 4),
        Asked(5.0, "a00", "served", None),
    )
    small = msgspec.structs.replace(affair, asked=asked)
    assert harvest.got(small) == [(1.0, 1)]
    assert harvest.wanted(small) == [(1.0, 1), (2.0, 2)]


@pytest.mark.parametrize("frame", [svg.WIDE, svg.NARROW])
def test_the_picture_states_what_was_got(affair: Affair, frame: svg.Frame) -> None:
    drawn = harvest.draw(affair, frame)
    ElementTree.fromstring(drawn)
    taken, asked = harvest.got(affair)[-1][1], harvest.wanted(affair)[-1][1]
    assert 0 < taken < asked
    assert f"{taken} answered" in drawn
    assert f"{asked} asked for" in drawn


def test_a_ring_that_never_asked_got_nothing(affair: Affair) -> None:
    drawn = harvest.draw(msgspec.structs.replace(affair, asked=()), svg.WIDE)
    assert "0 answered" in drawn
