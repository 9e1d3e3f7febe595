from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.evidence import svg
from spiritsafe.evidence.svg import Frame, Scale

numbers = st.floats(-1e6, 1e6)


@given(text=st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), min_size=1))
def test_any_text_comes_through_as_text(text: str) -> None:
    drawn = svg.el("text", text, aria_label=text)
    read = ElementTree.fromstring(drawn)
    assert read.text == text
    assert read.get("aria-label") == text


def test_markup_is_nested_and_names_are_translated() -> None:
    drawn = svg.group([svg.el("line", x1=0, stroke_width=1.5, class_="axis", y1=None)], class_="g")
    assert drawn == '<g class="g"><line x1="0" stroke-width="1.5" class="axis"/></g>'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_picture_refuses_what_it_can_not_place(value: float) -> None:
    with pytest.raises(ValueError, match="can't place"):
        svg.el("circle", cx=value)


@given(low=numbers, width=st.floats(0.001, 1e6), value=numbers)
def test_a_scale_stays_within_its_range(low: float, width: float, value: float) -> None:
    scale = Scale(low, low + width, 300, 20)
    assert 20 <= scale(value) <= 300
    assert scale(low) == 300


def test_a_scale_without_width_holds_its_start() -> None:
    assert Scale(5, 5, 10, 90)(7) == 10


@given(low=st.floats(-1e4, 1e4), width=st.floats(0.01, 1e5), count=st.integers(1, 12))
def test_ticks_lie_within_and_are_evenly_apart(low: float, width: float, count: int) -> None:
    marks = svg.ticks(low, low + width, count)
    assert len(marks) <= 2 * count + 2
    assert all(low - width * 1e-6 - 1e-6 <= mark <= low + width * (1 + 1e-6) + 1e-6 for mark in marks)
    gaps = [b - a for a, b in itertools.pairwise(marks)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-6) for gap in gaps)


def test_ticks_of_a_point_are_that_point() -> None:
    assert svg.ticks(3, 3, 5) == [3]


@pytest.mark.parametrize(
    ("seconds", "count", "expected"),
    [(300, 5, [0, 60, 120, 180, 240, 300]), (12, 4, [0, 5, 10]), (4000, 3, [0, 1800, 3600])],
)
def test_clock_ticks_are_round_times(seconds: float, count: int, expected: list[float]) -> None:
    assert svg.clock_ticks(seconds, count) == expected


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (95, "1:35"), (59.7, "1:00"), (3601, "60:01")])
def test_clock(seconds: float, text: str) -> None:
    assert svg.clock(seconds) == text


def test_steps_hold_each_value_until_the_next() -> None:
    assert svg.steps([(0, 1), (2, 5), (3, 0)]) == [(0, 1), (2, 1), (2, 5), (3, 5), (3, 0)]


def test_paths() -> None:
    assert svg.line([(0, 1), (2.125, 3)]) == "M0,1L2.12,3"
    assert svg.line([]) == ""
    assert svg.area([(0, 1), (2, 1)], [(0, 0), (2, 0)]) == "M0,1L2,1L2,0L0,0Z"


@given(wanted=st.lists(st.floats(0, 200), max_size=8))
def test_labels_keep_their_distance_and_their_order(wanted: list[float]) -> None:
    placed = svg.spread(wanted, 13, 0, 200)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    for a, b in itertools.pairwise(order):
        assert placed[b] - placed[a] >= 13 - 1e-6
    assert all(-1e-6 <= at <= 200 + 1e-6 for at in placed)


def test_labels_that_are_far_apart_stay_where_they_are() -> None:
    assert svg.spread([10, 100], 13, 0, 200) == [10, 100]


def test_axes_have_one_word_a_mark() -> None:
    frame = Frame(400, 200)
    x = svg.x_axis(frame, frame.x(0, 10), [(0, "0"), (5, "5")], "time")
    y = svg.y_axis(frame, frame.y(0, 10), [(0, "0"), (5, "5"), (10, "10")], "count")
    assert x.count('class="tick"') == 2
    assert y.count('class="tick"') == y.count('class="grid"') == 3
    assert ">time<" in x
    assert ">count<" in y
