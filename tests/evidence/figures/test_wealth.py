from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures import wealth
from spiritsafe.evidence.types import Affair, Wealth


@pytest.mark.parametrize("frame", [svg.WIDE, svg.NARROW])
def test_one_line_a_subject_and_the_line_to_cross(affair: Affair, frame: svg.Frame) -> None:
    root = ElementTree.fromstring(wealth.draw(affair, frame))
    classes = [node.get("class", "") for node in root.iter("path")]
    assert classes.count("wealth honest") == 24
    assert classes.count("wealth member") == 9
    assert classes.count("wealth ring") == 1
    assert classes.count("threshold") == 1


def test_a_lost_bet_is_drawn_at_the_floor_and_the_words_count_who_crossed(affair: Affair) -> None:
    subjects = (
        Wealth("a", "lost", "honest", ((10.0, -1e9),)),
        Wealth("b", "won", "member", ((20.0, 2.9), (60.0, 5.0))),
        Wealth("c", "silent", "honest", ()),
    )
    drawn = wealth.draw(msgspec.structs.replace(affair, wealth=subjects), svg.WIDE)
    assert "Evidence against 3 subjects over time; 1 cross the line." in drawn
    assert "honest lost" in drawn, "the highest honest account is named"


def test_the_highest_honest_account_is_named(affair: Affair) -> None:
    highest = max((w for w in affair.wealth if w.group == "honest"), key=lambda w: w.points[-1][1])
    assert f"honest {highest.name}" in wealth.draw(affair, svg.WIDE)
