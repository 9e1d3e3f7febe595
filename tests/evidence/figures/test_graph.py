from __future__ import annotations

from xml.etree import ElementTree

import msgspec
import pytest

from spiritsafe.evidence import svg
from spiritsafe.evidence.figures import graph
from spiritsafe.evidence.types import Affair


@pytest.mark.parametrize("frame", [svg.WIDE, svg.NARROW])
def test_every_account_is_a_dot_and_every_shared_thing_a_diamond(affair: Affair, frame: svg.Frame) -> None:
    root = ElementTree.fromstring(graph.draw(affair, frame))
    nodes = [node for node in root.iter("g") if node.get("class", "").startswith("node ")]
    assert len(nodes) == len(affair.parties)
    ends = sum(len(link.accounts) for link in affair.links)
    assert sum(node.get("class", "").startswith("link ") for node in root.iter("line")) == ends
    assert sum(node.get("class", "").startswith("shared ") for node in root.iter("g")) == len(affair.links)
    assert sum("caught" in node.get("class", "") for node in nodes) == sum(p.caught for p in affair.parties)
    assert sum(node.get("class") == "ringed" for node in root.iter("path")) == 1


def test_each_kind_of_link_has_its_own_stroke(affair: Affair) -> None:
    numbers = graph.strokes(affair)
    assert sorted(numbers) == ["payment", "place"]
    drawn = graph.draw(affair, svg.WIDE)
    for kind, number in numbers.items():
        assert drawn.count(f'class="shared l-{number}"') == sum(link.kind == kind for link in affair.links)


def test_without_links_everybody_stands_in_the_row(affair: Affair) -> None:
    drawn = graph.draw(msgspec.structs.replace(affair, links=(), rings=()), svg.WIDE)
    assert f"{len(affair.parties)} accounts share nothing with anyone" in drawn
