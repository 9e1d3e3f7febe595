from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spiritsafe.detect.features import Batch
from spiritsafe.detect.log import MOST_PROMPTS, Log, last_user, open_log
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.store.models import Grant

PARTS = frozenset({"embedding", "ngrams"})
TIME = datetime(2026, 3, 2, tzinfo=UTC)


def grant(account: str, model: str = "*", expires: datetime | None = None) -> Grant:
    return Grant(grant_id="g", account_id=account, model=model, purpose="distil", by="x", created=TIME, expires=expires)


def write(path: Path, **columns: object) -> str:
    pl.DataFrame(columns).write_parquet(path)
    return str(path)


def batches(log: Log, *grants: Grant, sample: bool = False) -> list[Batch]:
    return [batch for _, batch in log.batches(PARTS, grants, sample=sample)]


def asked(log: Log, *grants: Grant) -> int:
    return sum(int((batch.prompt >= 0).sum()) for batch in batches(log, *grants))


def test_files_patterns_and_folders_are_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.parquet", account_id=[name, name], prompt=["hello", "again"])
    assert open_log([str(tmp_path / "a.parquet")]).rows == 2
    for given in (str(tmp_path), str(tmp_path / "*.parquet")):
        log = open_log([given])
        assert log.rows == 4
        assert log.accounts() == ["a", "b"]
        assert asked(log) == 4


def test_a_data_folder_with_a_sealed_record_is_read(tmp_path: Path) -> None:
    with_grant = {"grant_id": "g"}
    sealed = SealedLog.open(tmp_path / "record")
    for i, more in enumerate(({}, {}, with_grant)):
        exchange = Exchange(
            exchange_id=f"e{i}", time=TIME, account_id=f"a{i}", messages=(Message("user", f"hi {'abc'[i]}"),), **more
        )
        sealed.append(exchange).result(timeout=30)
    sealed.close()
    for given in (tmp_path, tmp_path / "record"):
        log = open_log([str(given)])
        assert log.rows == 3
        assert asked(log) == 2
        assert log.accounts() == ["a0", "a1", "a2"]


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


def test_any_subset_of_columns_will_do_and_nulls_everywhere(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.parquet",
        account_id=["a", None, "b", "c"],
        prompt=["hello", "lost", None, ""],
        time=[None, TIME, None, None],
        payment=[None, "p", None, "p"],
        client=pl.Series([None] * 4, dtype=pl.String),
    )
    log = open_log([path])
    assert asked(log) == 1
    assert log.accounts() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "times",
    [
        [datetime(2026, 3, 2, 1)],  # noqa: DTZ001
        pl.Series(["2026-03-02T01:00:00Z"]),
        pl.Series(["2026-03-02T02:00:00+01:00"]),
        pl.Series([datetime(2026, 3, 2, 1)]).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),  # noqa: DTZ001
        pl.Series([datetime(2026, 3, 2, 1)]).cast(pl.Datetime("ms")),  # noqa: DTZ001
    ],
)
def test_times_in_any_form_are_utc(tmp_path: Path, times: object) -> None:
    path = write(tmp_path / "a.parquet", account_id=["a"], prompt=["x"], time=times)
    assert batches(open_log([path]))[0].seconds[0] == (TIME + timedelta(hours=1)).timestamp()


def test_times_that_cannot_be_read_are_unknown(tmp_path: Path) -> None:
    for times in (["yesterday"], [12]):
        path = write(tmp_path / "a.parquet", account_id=["a"], prompt=["x"], time=times)
        assert np.isnan(batches(open_log([path]))[0].seconds).all()


def test_messages_stand_for_a_prompt(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "last"},
    ]
    assert last_user(turns) == last_user(json.dumps(turns)) == "last"
    assert last_user([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]) == "a"
    for odd in (None, "nonsense", [], [{"role": "assistant", "content": "x"}], 7, [{"role": "user", "content": 3}]):
        assert last_user(odd) is None
    for messages in ([turns], [json.dumps(turns)]):
        assert asked(open_log([write(tmp_path / "a.parquet", account_id=["a"], messages=messages)])) == 1


def test_what_a_grant_covers_is_left_out(tmp_path: Path) -> None:
    hours = [TIME.replace(tzinfo=None) + timedelta(hours=h) for h in (0, 1, 2, 3)]
    path = write(
        tmp_path / "a.parquet",
        account_id=["a", "a", "a", "b"],
        model=["small", "large", None, "small"],
        prompt=["v", "w", "x", "y"],
        time=hours,
    )
    log = open_log([path])
    assert asked(log) == 4
    assert asked(log, grant("a")) == 1
    assert asked(log, grant("a", "small")) == 2
    assert asked(log, grant("a", expires=TIME + timedelta(hours=2))) == 2
    assert asked(log, grant("c")) == 4
    assert log.accounts() == ["a", "b"]


def test_an_account_that_floods_is_sampled_and_the_others_are_not(tmp_path: Path) -> None:
    words = [f"{a}{b}{c}" for a in "bcdfghklmnprst" for b in "aeiou" for c in "bcdfghklmnprst"]
    flood = [f"{one} {two}" for one in words[:100] for two in words[100:130]]
    path = write(tmp_path / "a.parquet", account_id=["a"] * len(flood) + ["b"] * 40, prompt=[*flood, *words[:40]])
    batch = batches(open_log([path]), sample=True)[0]
    seen = batch.prompt >= 0
    a = batch.accounts.index("a")
    assert MOST_PROMPTS * 0.7 < seen[batch.owner == a].sum() < MOST_PROMPTS * 1.4
    assert seen[batch.owner != a].all()
