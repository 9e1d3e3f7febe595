from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.distill.curve import curve_of, draw, running_mean
from spiritsafe.distill.train import Progress


def steps(n: int) -> list[Progress]:
    return [
        Progress(
            step=i + 1,
            steps=n,
            loss=float(n - i),
            rate=0.1,
            norm=1.0,
            of_peak=0.5,
            tokens=10 * (i + 1),
            seconds=2.0 * (i + 1),
            left=0,
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("n", [1, 499, 500, 501, 3210])
def test_a_curve_of_any_length_has_at_most_500_points_and_ends_at_the_end(n: int) -> None:
    curve = curve_of(steps(n))
    assert len(curve.step) == len(curve.loss) == len(curve.rate) == len(curve.tokens_per_second) <= 500
    assert curve.step[-1] == n
    assert all(speed == pytest.approx(5.0) for speed in curve.tokens_per_second)


def test_a_point_is_the_mean_of_its_steps() -> None:
    curve = curve_of(steps(1000))
    assert curve.loss[0] == pytest.approx((1000 + 999) / 2)


def test_the_running_mean_looks_back_only() -> None:
    assert running_mean([2.0, 4.0, 6.0, 8.0], 2) == [2.0, 3.0, 5.0, 7.0]


def test_the_picture_is_a_png_of_a_readable_size(tmp_path: Path) -> None:
    draw(curve_of(steps(100)), tmp_path / "curve.png", title="a run")
    data = (tmp_path / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(data[a : a + 4], "big") for a in (16, 20))
    assert (width, height) == (960, 540)
