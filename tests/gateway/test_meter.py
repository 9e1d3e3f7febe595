from __future__ import annotations

import time

from prometheus_client.parser import text_string_to_metric_families

from spiritsafe.gateway.meter import Meter


def test_what_happened_is_exposed_in_prometheus_format() -> None:
    meter = Meter()
    meter.answered("chat", 200, time.monotonic() - 0.2)
    meter.answered("chat", 200, time.monotonic() - 500)
    meter.answered("chat", 502, time.monotonic())
    meter.refused("messages", "invalid_key")
    meter.chunks += 7
    meter.gauges["in_flight"] = ("Requests under way.", lambda: 3.0)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(meter.text().decode())
        for sample in family.samples
    }
    assert found["spiritsafe_exchanges_total", "chat", "200"] == 2
    assert found["spiritsafe_exchanges_total", "chat", "502"] == 1
    assert found["spiritsafe_refusals_total", "messages", "invalid_key"] == 1
    assert found["spiritsafe_stream_chunks_total",] == 7
    assert found["spiritsafe_in_flight",] == 3
    assert found["spiritsafe_exchange_seconds_bucket", "chat", "0.3"] == 2
    assert found["spiritsafe_exchange_seconds_bucket", "chat", "+Inf"] == 3
    assert found["spiritsafe_exchange_seconds_sum", "chat"] > 500


def test_before_anything_happened_there_is_nothing_wrong_with_the_text() -> None:
    assert b"spiritsafe_stream_chunks_total 0.0" in Meter().text()
