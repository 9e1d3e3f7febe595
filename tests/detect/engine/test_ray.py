"""Ray starts half a dozen processes and takes many seconds: one test of everything, where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import polars as pl
import pytest

from spiritsafe.detect.engine import open_engine
from spiritsafe.detect.engine.local import Local
from spiritsafe.detect.log import open_log
from spiritsafe.detect.scan import scan
from spiritsafe.errors import InputError, ResourceError


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"spiritsafe\[ray\]"):
        open_engine("ray")


def test_ray_gives_the_same_answer_and_our_errors(traffic: pl.DataFrame, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    third = traffic.height // 3
    for name, part in zip("abc", traffic.iter_slices(third), strict=False):
        part.write_parquet(tmp_path / f"{name}.parquet")
    log = open_log([str(tmp_path)])
    here = scan(log, engine=Local(1))
    engine = open_engine("ray", 2)
    try:
        there = scan(log, engine=engine)
        assert msgspec.json.encode(there.evaluation) == msgspec.json.encode(here.evaluation)
        assert there.accounts == here.accounts
        (tmp_path / "b.parquet").unlink()
        with pytest.raises(InputError, match=r"b\.parquet"):
            scan(log, engine=engine)
    finally:
        engine.close()
