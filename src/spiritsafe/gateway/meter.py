"""What Prometheus scrapes: plain numbers on the hot path, made into metrics when somebody asks."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Upper bounds of the latency histogram, seconds."""


class Meter(Collector):
    """Counts of one gateway. ``gauges`` are asked when scraped."""

    def __init__(self) -> None:
        self.chunks = 0
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._answers: Counter[tuple[str, int]] = Counter()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self._latency: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def answered(self, api: str, status: int, began: float) -> None:
        """An exchange that was let in has ended; ``began`` is monotonic."""
        self._answers[api, status] += 1
        took = time.monotonic() - began
        counts = self._latency.get(api)
        if counts is None:
            counts = self._latency[api] = [0] * (len(BUCKETS) + 1)
        counts[bisect_left(BUCKETS, took)] += 1
        self._seconds[api] += took  # type: ignore[assignment]

    def refused(self, api: str, reason: str) -> None:
        """A request was not let in."""
        self._refusals[api, reason] += 1

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        answers = CounterMetricFamily("spiritsafe_exchanges", "Exchanges by API and status.", labels=["api", "status"])
        for (api, status), count in self._answers.items():
            answers.add_metric([api, str(status)], count)
        yield answers
        refusals = CounterMetricFamily("spiritsafe_refusals", "Requests not let in.", labels=["api", "reason"])
        for (api, reason), count in self._refusals.items():
            refusals.add_metric([api, reason], count)
        yield refusals
        yield CounterMetricFamily("spiritsafe_stream_chunks", "Pieces of streams passed on.", value=self.chunks)
        latency = HistogramMetricFamily("spiritsafe_exchange_seconds", "From request to recorded.", labels=["api"])
        for api, counts in self._latency.items():
            total, buckets = 0, []
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            latency.add_metric([api], buckets, float(self._seconds[api]))
        yield latency
        for name, (words, ask) in self.gauges.items():
            yield GaugeMetricFamily(f"spiritsafe_{name}", words, value=ask())
