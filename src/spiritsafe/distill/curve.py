"""The curve of a training run: as a picture, and as the data that a page draws from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from spiritsafe.distill.train import Progress

POINTS = 500


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """Columns of equal length, at most 500 points: each is the mean of the steps since the one before it."""

    step: list[int]
    loss: list[float]
    rate: list[float]
    tokens_per_second: list[float]
    of_peak: list[float]


def curve_of(steps: Sequence[Progress]) -> Curve:
    """Thin the steps out so that any run makes a picture of the same size."""
    group = max(1, -(-len(steps) // POINTS))
    parts = [steps[a : a + group] for a in range(0, len(steps), group)]
    ends = [part[-1] for part in parts]
    before = [(0, 0.0), *((p.tokens, p.seconds) for p in ends[:-1])]
    return Curve(
        step=[p.step for p in ends],
        loss=[sum(p.loss for p in part) / len(part) for part in parts],
        rate=[p.rate for p in ends],
        tokens_per_second=[
            (p.tokens - tokens) / max(1e-9, p.seconds - seconds)
            for p, (tokens, seconds) in zip(ends, before, strict=True)
        ],
        of_peak=[sum(p.of_peak for p in part) / len(part) for part in parts],
    )


def draw(curve: Curve, path: Path, *, title: str) -> None:
    """Write the loss (its running mean over a twentieth of the run) and the learning rate as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to load, and used once
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(curve.step, curve.loss, color="#b9c6d3", linewidth=1, label="loss")
    axes.plot(
        curve.step, running_mean(curve.loss, max(1, len(curve.loss) // 20)), color="#1f4e79", label="running mean"
    )
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats an answer token")
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    rate = axes.twinx()
    rate.plot(curve.step, curve.rate, color="#c58b2a", linewidth=1, linestyle="--", label="learning rate")
    rate.set_ylabel("learning rate")
    rate.set_ylim(bottom=0)
    rate.spines[["top", "left"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and the ``width`` - 1 before it, of fewer at the beginning."""
    out, total = [], 0.0
    for i, value in enumerate(values):
        total += value - (values[i - width] if i >= width else 0.0)
        out.append(total / min(i + 1, width))
    return out
