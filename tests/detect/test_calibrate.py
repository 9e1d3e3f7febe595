from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from spiritsafe.detect.calibrate import reference_of, reference_of_exchanges, reference_of_frame
from spiritsafe.detect.features import Batch, digest
from spiritsafe.detect.online import Watch
from spiritsafe.detect.ring.infrastructure import LEAST_GROUP
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message

MADE = datetime(2026, 3, 1, tzinfo=UTC)


def collected(batch: Batch) -> Watch:
    watch = Watch(collect=True)
    watch.learn_batch(batch)
    return watch


def test_peers_and_calibration_are_different_accounts(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = collected(batch_of(honest(150)))
    made = reference_of(watch, made=MADE, source="x")
    looked_at = sum(1 for t in watch.tenants.values() if t.windows(watch.detectors))
    assert made.accounts == looked_at
    assert len(made.peers) == looked_at // 3
    assert made.scores("population").scores.size == looked_at - len(made.peers)
    assert made.windows("population").rows.shape == (len(made.peers), 257)
    assert set(made.peers) <= {digest("account", name) for name in watch.tenants}
    assert 13 * 86_400 < made.horizon <= 14 * 86_400


def test_the_same_traffic_makes_the_same_reference(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    one, two = (reference_of(collected(batch_of(honest(80))), made=MADE, source="x") for _ in range(2))
    assert one.digest() == two.digest()


def test_it_learns_how_large_honest_companies_are(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], actor: type[Any]
) -> None:
    crowd = honest(300)
    assert reference_of(collected(batch_of(crowd)), made=MADE, source="x").honest_group == LEAST_GROUP
    for start in range(0, 240, 8):
        for each in crowd[start : start + 8]:
            each.shares["payment"] = f"company-{start}"
    assert reference_of(collected(batch_of(crowd)), made=MADE, source="x").honest_group == 8


def test_too_few_accounts_are_refused(honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]) -> None:
    with pytest.raises(InputError, match="a reference needs 20"):
        reference_of(collected(batch_of(honest(10))), made=MADE, source="x")


def test_exchanges_and_a_frame_make_the_same_reference_and_grants_are_left_out() -> None:
    rng = np.random.default_rng(0)
    words = [f"{a}{b}{c}" for a in "bdfglm" for b in "aeiou" for c in "bcdfghklmnprst"]
    exchanges = [
        Exchange(
            exchange_id=f"e{i}-{n}",
            time=MADE + timedelta(minutes=n),
            account_id=f"a{i}",
            messages=(Message("user", " ".join(rng.choice(words[(i % 3) * 100 :][:100], 6))),),
        )
        for n in range(20)
        for i in range(24)
    ]
    rows = [
        {"account_id": e.account_id, "time": e.time, "prompt": e.messages[0].content} for e in exchanges if e.messages
    ]
    frame = pl.DataFrame(rows).with_columns(pl.col("time").dt.replace_time_zone(None))
    permitted = [
        msgspec.structs.replace(e, account_id="licensed", exchange_id=f"l{e.exchange_id}", grant_id="g")
        for e in exchanges[:60]
    ]
    one = reference_of_exchanges(exchanges + permitted, made=MADE, source="x")
    two = reference_of_frame(frame, made=MADE, source="x")
    assert one.digest() == two.digest()
