from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.detect.log import open_log
from spiritsafe.detect.partials import Partials, digest, keys
from spiritsafe.detect.rows import Notes
from spiritsafe.errors import ResourceError
from spiritsafe.store.models import Grant


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in "abc":
        pl.DataFrame({"account_id": [name], "prompt": [f"hello {name}"]}).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def names(folder: Path, *grants: Grant) -> list[str]:
    return keys(open_log([str(folder / "*.parquet")]).sources, grants, None)


def test_a_points_name_depends_on_every_file_before_it_and_on_the_grants(files: Path) -> None:
    before = names(files)
    assert len(set(before)) == 3
    assert names(files) == before
    pl.DataFrame({"account_id": ["b"], "prompt": ["other"]}).write_parquet(files / "b.parquet")
    after = names(files)
    assert after[0] == before[0]
    assert not set(after[1:]) & set(before)
    held = Grant(
        grant_id="g", account_id="a", model="*", purpose="distil", by="x", created=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert not set(names(files, held)) & set(after)


def test_what_is_kept_is_found_and_dropped(files: Path) -> None:
    partials = Partials(files / "kept")
    parts = [files / "a.parquet", files / "b.parquet"]
    partials.keep("key", parts, 7, ["x", "y"], Notes(twice=1))
    point = partials.find("key")
    assert point is not None
    assert (point.rows, point.accounts, point.notes) == (7, ["x", "y"], Notes(twice=1))
    assert [digest(path) for path in partials.files("key", point)] == [digest(path) for path in parts]
    assert partials.find("other") is None
    partials.drop("key")
    assert partials.find("key") is None


@pytest.mark.parametrize("name", ["manifest", "00000", "00001"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_damaged_point_is_none(files: Path, name: str, how: str) -> None:
    partials = Partials(files / "kept")
    partials.keep("key", [files / "a.parquet", files / "b.parquet"], 7, ["x"], Notes())
    path = files / "kept" / "key" / name
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if how == "cut" else data[:20] + bytes([data[20] ^ 1]) + data[21:])
    assert partials.find("key") is None


def test_a_folder_that_cannot_be_made_is_named(files: Path) -> None:
    with pytest.raises(ResourceError, match="--partials"):
        Partials(files / "a.parquet" / "kept")
