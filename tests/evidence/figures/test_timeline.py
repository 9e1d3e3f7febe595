from __future__ import annotations

import re
from xml.etree import ElementTree

import msgspec
import pytest

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures import timeline
from spiritsafe.evidence.types import Affair


@pytest.mark.parametrize("frame", [svg.WIDE, svg.NARROW])
def test_one_band_a_kind_that_states_what_was_served(affair: Affair, frame: svg.Frame) -> None:
    drawn = timeline.draw(affair, frame)
    ElementTree.fromstring(drawn)
    kinds = {party.party: party.kind for party in affair.parties}
    for kind in affair.kinds:
        served = sum(a.outcome == "served" and kinds[a.party] == kind.name for a in affair.asked)
        assert f"{kind.name}: {served} served" in drawn
    refused = sum(a.outcome == "refused" for a in affair.asked)
    assert f">{refused} refused<" in drawn


def test_one_numbered_mark_a_decision_where_it_came_into_force(affair: Affair) -> None:
    drawn = timeline.draw(affair, svg.WIDE)
    places = [float(x) for x in re.findall(r'class="decision[^"]*"><title>[^<]*</title><line x1="([\d.]+)"', drawn)]
    x = svg.WIDE.x(0, affair.seconds)
    assert places == pytest.approx([x(100.0), x(180.0)], abs=0.01)


def test_without_refusals_nothing_hangs_below(failed_affair: Affair) -> None:
    asked = tuple(a for a in failed_affair.asked if a.outcome == "served")
    drawn = timeline.draw(msgspec.structs.replace(failed_affair, asked=asked), svg.WIDE)
    assert "refused band" not in drawn
    assert 'class="decision' not in drawn


def test_an_affair_without_requests_is_still_a_picture(affair: Affair) -> None:
    ElementTree.fromstring(timeline.draw(msgspec.structs.replace(affair, asked=(), rulings=()), svg.WIDE))
