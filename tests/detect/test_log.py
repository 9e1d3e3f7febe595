from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spiritsafe.detect import log as logs
from spiritsafe.detect.log import Log, open_log
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.store.models import Grant

PARTS = frozenset({"embedding", "ngrams"})
TIME = datetime(2026, 3, 2, tzinfo=UTC)


def write(path: Path, **columns: object) -> str:
    pl.DataFrame(columns).write_parquet(path)
    return str(path)


def asked(log: Log, *grants: Grant) -> int:
    return sum(int((batch.prompt >= 0).sum()) for _, batch in log.batches(PARTS, grants))


def test_files_patterns_and_folders_are_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", account_id=[name, name], prompt=["hello", "again"])
    assert open_log([str(tmp_path / "a.parquet")]).rows == 2
    for given in (str(tmp_path), str(tmp_path / "*.parquet")):
        log = open_log([given])
        assert log.rows == 4
        assert asked(log) == 4


def test_a_data_folder_with_a_sealed_record_is_read(tmp_path: Path) -> None:
    with_grant = {"grant_id": "g"}
    sealed = SealedLog.open(tmp_path / "record")
    for i, more in enumerate(({}, {}, with_grant)):
        exchange = Exchange(
            exchange_id=f"e{i}", time=TIME, account_id=f"a{i}", messages=(Message("user", f"hi {'abc'[i]}"),), **more
        )
        sealed.append(exchange).result(timeout=200)
    sealed.close()
    for given in (tmp_path, tmp_path / "record"):
        log = open_log([str(given)])
        assert log.rows == 3
        assert asked(log) == 2


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_log([str(tmp_path / "x.parquet")])
    with pytest.raises(InputError, match="holds no Parquet file"):
        open_log([str(tmp_path)])


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_text("account_id,prompt\na,b\n")
    with pytest.raises(InputError, match="not a Parquet file") as caught:
        open_log([str(path)])
    assert caught.value.where == str(path)
    assert "ingest" in caught.value.remedy


def test_missing_and_present_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", user=["a"], text=["b"])
    with pytest.raises(InputError, match=r"lacks account_id, prompt \(or messages\); it has user, text"):
        open_log([path])


def test_a_log_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    table = pa.table({"account_id": ["a"], "prompt": ["b"]}).replace_schema_metadata({"spiritsafe.version": "7"})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="version 7"):
        open_log([str(tmp_path / "a.parquet")])


def test_row_groups_are_gathered_into_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"account_id": [f"a{i}" for i in range(100)], "prompt": ["x"] * 100})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=10)
    monkeypatch.setattr(logs, "PARTITION", 35)
    log = open_log([str(tmp_path / "a.parquet")])
    assert [(p.first, p.rows, p.groups) for p in log.partitions] == [
        (0, 30, (0, 1, 2)),
        (30, 30, (3, 4, 5)),
        (60, 30, (6, 7, 8)),
        (90, 10, (9,)),
    ]
    assert asked(log) == 100


def test_a_file_without_a_row_has_no_partition(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", account_id=pl.Series([], dtype=pl.String), prompt=[])
    log = open_log([path])
    assert log.rows == 0
    assert log.partitions == ()


@pytest.mark.parametrize("left", [0, 3, 0.5])
def test_an_empty_or_cut_off_file_is_named(tmp_path: Path, left: float) -> None:
    path = Path(write(tmp_path / "a.parquet", account_id=["a"] * 50, prompt=["x"] * 50))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if left < 1 else int(left)])
    with pytest.raises(InputError, match="cut off") as caught:
        open_log([str(path)])
    assert caught.value.where == str(path)


def test_columns_that_hold_no_plain_value_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", account_id=["a"], prompt=["x"], payment=[{"card": 1}], client=[["a"]])
    with pytest.raises(InputError, match=r"payment \(struct<card: int64>\), client \(") as caught:
        open_log([path])
    assert "leave the column out" in caught.value.remedy
