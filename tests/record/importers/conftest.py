"""A small log of each form, in ``data/``; the Parquet one is written when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.importers import Options, importer

DATA = Path(__file__).parent / "data"
CHANGED = datetime(2026, 3, 3, tzinfo=UTC).timestamp()


@pytest.fixture
def log_of(tmp_path: Path) -> Callable[[str], Path]:
    """Give a copy of the log of this form."""

    def copy(form: str) -> Path:
        if form == "parquet":
            path = tmp_path / "log.parquet"
            rows = {
                "exchange_id": ["x1", "x2", None],
                "account_id": ["user-1", "user-2", "user-2"],
                "time": [datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (10, 11, 12)],
                "model": "still-large",
                "prompt": ["How long?", "Which wood?", "And then?"],
                "completion": ["Three years.", "Oak.", None],
                "prompt_tokens": [2, 3, 3],
                "temperature": [0.5, None, 1.0],
                "ip_prefix": ["203.0.113.9", "net-1", None],
                "colour": ["marker-7531", None, None],
            }
            pl.DataFrame(rows).write_parquet(path)
            return path
        [source] = DATA.glob(f"{form}.*")
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes())
        os.utime(path, (CHANGED, CHANGED))
        return path

    return copy


@pytest.fixture
def load(log_of: Callable[[str], Path]) -> Callable[..., list[Exchange]]:
    """Read the log of a form (or other logs); fails on a problem."""

    def read(form: str, *paths: Path, options: Options | None = None) -> list[Exchange]:
        found = list(importer(form).read(paths or [log_of(form)], options or Options()))
        problems = [item for item in found if isinstance(item, Problem)]
        assert not problems
        return [item.exchange for item in found if not isinstance(item, Problem)]

    return read
