"""Every importer, the ones of other packages too, goes through the same checks."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from pathlib import Path

import pytest

from spiritsafe.errors import InputError, Problem, UsageError
from spiritsafe.record import canonical
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.importers import Importer, Item, Options, importer, names
from spiritsafe.record.ingest import ingest

LogOf = Callable[[str], Path]
Load = Callable[..., list[Exchange]]
FORMS = names()
LINED = [form for form in FORMS if form != "parquet"]
MARK = "marker-7531"


def read(form: str, path: Path, options: Options | None = None) -> tuple[list[Item], list[Problem]]:
    found = list(importer(form).read([path], options or Options()))
    return [i for i in found if isinstance(i, Item)], [i for i in found if isinstance(i, Problem)]


@pytest.mark.parametrize("form", FORMS)
def test_it_says_what_it_is(form: str) -> None:
    found = importer(form)
    assert isinstance(found, Importer)
    assert found.name == form
    assert found.about


@pytest.mark.parametrize("form", FORMS)
def test_what_it_reads_can_be_recorded(form: str, load: Load) -> None:
    exchanges = load(form)
    assert len(exchanges) >= 2
    for exchange in exchanges:
        assert exchange.time.tzinfo is UTC
        assert exchange.time.year == 2026
        assert canonical.open_row(canonical.seal(exchange)) == canonical.decode(canonical.canonical(exchange))
    named = [exchange.exchange_id for exchange in exchanges if exchange.exchange_id]
    assert len(set(named)) == len(named) > 0


@pytest.mark.parametrize("form", FORMS)
def test_reading_twice_gives_the_same(form: str, log_of: LogOf) -> None:
    path = log_of(form)
    assert read(form, path) == read(form, path)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "vllm"])  # whose lines have no fields
def test_unknown_fields_are_kept(form: str, load: Load) -> None:
    assert any(MARK in str(exchange.extra) for exchange in load(form))


@pytest.mark.parametrize("form", FORMS)
def test_what_was_asked_and_answered_is_there(form: str, load: Load) -> None:
    exchanges = load(form)
    assert any(exchange.messages for exchange in exchanges)
    assert any(exchange.completion for exchange in exchanges)


@pytest.mark.parametrize("form", LINED)
def test_gzipped_logs_are_read(form: str, log_of: LogOf) -> None:
    path = log_of(form)
    plain = [item.exchange for item in read(form, path)[0]]
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    os.utime(path, (1772500000, 1772500000))
    assert [item.exchange for item in read(form, path)[0]] == plain


@pytest.mark.parametrize("form", LINED)
def test_a_bad_line_is_named_and_the_rest_is_read(form: str, log_of: LogOf) -> None:
    path = log_of(form)
    whole = [item.exchange for item in read(form, path)[0]]
    lines = path.read_bytes().splitlines(keepends=True)
    bad = b"Generated response x: output: 'cut\n" if form == "vllm" else b'{"cut": \n'
    path.write_bytes(b"".join([*lines[:1], bad, b"\n", b"\xff\xfe broken\n", *lines[1:]]))
    os.utime(path, (1772500000, 1772500000))
    items, problems = read(form, path)
    assert [item.exchange for item in items] == whole
    assert [problem.where for problem in problems] == [f"{path}:2", f"{path}:4"]
    assert all(problem.message and problem.remedy for problem in problems)


@pytest.mark.parametrize("form", FORMS)
def test_items_name_their_line(form: str, log_of: LogOf) -> None:
    path = log_of(form)
    for item in read(form, path)[0]:
        place, _, number = item.where.rpartition(":")
        assert place == str(path)
        assert number.isdecimal()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(3))
def test_nonsense_is_told_and_never_crashes(form: str, seed: int, tmp_path: Path, log_of: LogOf) -> None:
    path = tmp_path / "nonsense"
    noise = random.Random(seed)
    whole = bytearray(log_of(form).read_bytes())
    for data in (
        noise.randbytes(3000),
        b'{"a":1}\n[]\n3\nnull\n"x"\n{"data":[1,{}],"object":"list"}\n',
        b"\n\n",
        b"[" * 99_999,
        b'{"a":' * 99_999,
    ):
        path.write_bytes(data)
        told(form, path)
    for _ in range(20):
        changed = bytearray(whole)
        for _ in range(noise.randrange(1, 20)):
            changed[noise.randrange(len(changed))] = noise.randrange(256)
        path.write_bytes(changed[: noise.randrange(len(changed))])
        told(form, path)


def told(form: str, path: Path) -> None:
    try:
        items, _ = read(form, path)
    except InputError:  # a file that is not of the form at all
        return
    for item in items:
        canonical.canonical(item.exchange)


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_file_says_so(form: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none"):
        read(form, tmp_path / "none")


@pytest.mark.parametrize("form", FORMS)
def test_ingesting_twice_adds_nothing(form: str, log_of: LogOf, tmp_path: Path) -> None:
    path = log_of(form)
    once = ingest([path], form, tmp_path / "data")
    again = ingest([path], form, tmp_path / "data")
    assert once.added >= 2
    assert (once.duplicates, once.problems) == (0, 0)
    assert (again.added, again.duplicates, again.problems) == (0, once.added, 0)


@pytest.mark.parametrize("form", ["litellm", "vllm", "jsonl"])
def test_times_without_a_zone_are_in_the_one_given(form: str, log_of: LogOf) -> None:
    path = log_of(form)
    if form == "jsonl":
        path.write_text('{"account_id":"a","time":"2026-03-02 10:00:00"}\n')
    there = timezone(timedelta(hours=2))
    utc = {item.exchange.exchange_id: item.exchange.time for item in read(form, path)[0]}
    moved = {item.exchange.exchange_id: item.exchange.time for item in read(form, path, Options(zone=there))[0]}
    shifts = {utc[name] - moved[name] for name in utc}
    assert timedelta(hours=2) in shifts
    assert shifts <= {timedelta(0), timedelta(hours=2)}


def test_an_unknown_form_lists_the_known() -> None:
    with pytest.raises(UsageError, match="litellm, otel, openai, vllm, parquet, jsonl"):
        importer("nginx")
