from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from spiritsafe.detect.calls import PARAMS
from spiritsafe.detect.log import open_log
from spiritsafe.detect.rows import TEXT, Chunk, Frame, Notes, exchanges, frames, last_user
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.log import SealedLog
from spiritsafe.store.models import Grant

TIME = datetime(2026, 3, 2, tzinfo=UTC)


def grant(account: str, model: str = "*", expires: datetime | None = None) -> Grant:
    return Grant(grant_id="g", account_id=account, model=model, purpose="distil", by="x", created=TIME, expires=expires)


def read(path: Path, *grants: Grant, **columns: object) -> Frame:
    pl.DataFrame(columns).write_parquet(path / "a.parquet")
    (partition,) = open_log([str(path / "a.parquet")]).partitions
    (frame,) = frames(partition, grants)
    return frame


def test_any_subset_of_columns_will_do_and_nulls_everywhere(tmp_path: Path) -> None:
    frame = read(
        tmp_path,
        account_id=["a", None, "b", "c"],
        prompt=["hello", "lost", None, ""],
        time=[None, TIME, None, None],
        payment=[None, "p", None, "p"],
        client=pl.Series([None] * 4, dtype=pl.String),
    )
    assert frame.rows == 4
    assert frame.kept.columns == [*TEXT, "time", *PARAMS]
    assert frame.kept.get_column("account_id").to_list() == ["a", "b", "c"]
    assert frame.accounts == {"a", "b", "c"}
    assert frame.notes == Notes(nameless=1, promptless=1, timeless=3)
    assert frame.notes.told() == (
        "1 exchanges name no account and were left out",
        "3 exchanges have no time that can be read",
        "1 exchanges hold no prompt",
    )


def test_numbers_stand_for_text(tmp_path: Path) -> None:
    frame = read(tmp_path, account_id=[7, 8], prompt=[1.5, None], payment=[True, False], exchange_id=[1, 2])
    assert frame.kept.get_column("account_id").to_list() == ["7", "8"]
    assert frame.kept.get_column("prompt").to_list() == ["1.5", None]
    assert frame.kept.get_column("exchange_id").to_list() == ["1", "2"]


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
    frame = read(tmp_path, account_id=["a"], prompt=["x"], time=times)
    assert frame.kept.get_column("time").to_list() == [(TIME + timedelta(hours=1)).replace(tzinfo=None)]


@pytest.mark.parametrize("times", [["yesterday"], [12], [True], [[TIME]]])
def test_times_that_cannot_be_read_are_unknown_and_counted(tmp_path: Path, times: list[object]) -> None:
    frame = read(tmp_path, account_id=["a"], prompt=["x"], time=times)
    assert frame.kept.get_column("time").to_list() == [None]
    assert frame.notes.timeless == 1


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
        frame = read(tmp_path, account_id=["a"], messages=messages)
        assert frame.kept.get_column("prompt").to_list() == ["last"]
    frame = read(tmp_path, account_id=["a", "b"], messages=[turns, turns], prompt=["own", None])
    assert frame.kept.get_column("prompt").to_list() == ["own", "last"]


def test_what_a_grant_covers_is_left_out(tmp_path: Path) -> None:
    columns = {
        "account_id": ["a", "a", "a", "b"],
        "model": ["small", "large", None, "small"],
        "prompt": ["v", "w", "x", "y"],
        "time": [TIME.replace(tzinfo=None) + timedelta(hours=h) for h in (0, 1, 2, 3)],
    }

    def left(*grants: Grant) -> Sequence[str]:
        frame = read(tmp_path, *grants, **columns)
        assert frame.accounts == {"a", "b"}
        assert frame.notes.granted == 4 - frame.kept.height
        return frame.kept.get_column("prompt").to_list()

    assert left() == ["v", "w", "x", "y"]
    assert left(grant("a")) == ["y"]
    assert left(grant("a", "small")) == ["w", "y"]
    assert left(grant("a", expires=TIME + timedelta(hours=2))) == ["x", "y"]
    assert left(grant("c")) == ["v", "w", "x", "y"]


def test_a_file_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    words = [f"{i * 7919 % 10007:x} {i * 104729 % 99991:x}" for i in range(5000)]
    pl.DataFrame({"account_id": ["a"] * 5000, "prompt": words}).write_parquet(path)
    data = bytearray(path.read_bytes())
    data[60 : len(data) - 3000] = bytes(len(data) - 3060)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged") as caught:
        list(frames(open_log([str(path)]).partitions[0], ()))
    assert caught.value.where == str(path)


def test_a_sealed_record_is_read_likewise(tmp_path: Path) -> None:
    sealed = SealedLog.open(tmp_path / "record")
    for i, more in enumerate(({}, {"model": "small"}, {"grant_id": "g"})):
        exchange = Exchange(
            exchange_id=f"e{i}", time=TIME, account_id=f"a{i}", messages=(Message("user", f"hi {i}"),), **more
        )
        sealed.append(exchange).result(timeout=200)
    sealed.close()
    (partition,) = open_log([str(tmp_path)]).partitions

    def chunk(*grants: Grant) -> Chunk:
        (found,) = exchanges(partition, grants)
        return found

    assert [e.account_id for e in chunk().kept] == ["a0", "a1"]
    assert chunk().accounts == {"a0", "a1", "a2"}
    assert [e.account_id for e in chunk(grant("a1", "small")).kept] == ["a0"]
    assert chunk(grant("a1", "large")).notes.granted == 1


def test_how_answers_were_drawn_is_read_under_any_name_and_else_unknown(tmp_path: Path) -> None:
    frame = read(
        tmp_path,
        account_id=["a", "b", "c", "d"],
        prompt=["x"] * 4,
        logprobs=[True, False, None, True],
        top_logprobs=[5, None, None, None],
        max_completion_tokens=[100, 2**40, -1, None],
        n=["4", "one", None, ""],
        completion_tokens=pl.Series([float("nan"), 7.0, float("inf"), None]),
        temperature=[[1.0]] * 4,
    )
    held = frame.kept.select("logprobs", "max_tokens", "n", "completion_tokens", "temperature", "prompt_tokens")
    assert held.to_dict(as_series=False) == {
        "logprobs": [5.0, 0.0, None, 1.0],
        "max_tokens": [100.0, None, None, None],
        "n": [None] * 4,
        "completion_tokens": [None, 7.0, None, None],
        "temperature": [None] * 4,
        "prompt_tokens": [None] * 4,
    }
