from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from spiritsafe.detect import scan as scanning
from spiritsafe.detect.calibrate import reference_of, reference_of_frame
from spiritsafe.detect.engine.local import Local
from spiritsafe.detect.log import Log, open_log
from spiritsafe.detect.scan import Scanned, collect, scan
from spiritsafe.detect.types import Evaluation
from spiritsafe.stats.evalues import partial_conjunction
from spiritsafe.store.models import Grant

MADE = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def log(traffic: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Log:
    path = tmp_path_factory.mktemp("log") / "traffic.parquet"
    traffic.write_parquet(path)
    return open_log([str(path)])


def best_ring(evaluation: Evaluation) -> tuple[float, set[str]]:
    rings = [f for f in evaluation.findings if f.subject_kind == "ring"]
    worth = [(partial_conjunction([e.result.log10_e for e in f.evidence]), set(f.accused)) for f in rings]
    return max(worth, key=lambda pair: pair[0])


def test_the_ring_is_found_in_a_log_by_itself(log: Log) -> None:
    told: list[int] = []
    found = scan(log, report=told.append)
    worth, accused = best_ring(found.evaluation)
    assert worth > 2.5
    assert accused == {f"ring-{i}" for i in range(240, 270)}
    assert found.exchanges == 8100
    assert told[-1] == 8100
    assert len(found.accounts) == 270
    accounts = [f for f in found.evaluation.findings if f.subject_kind == "account"]
    assert len(accounts) > 250


def test_two_scans_find_the_same(log: Log) -> None:
    assert scan(log).evaluation == scan(log).evaluation


def test_a_reference_finds_it_too(log: Log, traffic: pl.DataFrame) -> None:
    honest = traffic.filter(pl.col("account_id").str.starts_with("honest"))
    reference = reference_of_frame(honest, made=MADE, source="honest")
    worth, accused = best_ring(scan(log, reference=reference).evaluation)
    assert worth > 2.0
    assert len(accused) == 30


def test_a_permitted_ring_is_not_looked_at(log: Log) -> None:
    grants = [
        Grant(grant_id="g", account_id=f"ring-{i}", model="*", purpose="distil", by="x", created=MADE)
        for i in range(240, 270)
    ]
    found = scan(log, grants=grants)
    assert not {name for f in found.evaluation.findings for name in f.accounts if name.startswith("ring-")}
    assert len(found.accounts) == 270


def test_a_log_can_become_a_reference(log: Log) -> None:
    made = reference_of(collect(log), made=MADE, source="log")
    assert made.accounts > 250


def answer(found: Scanned) -> bytes:
    return msgspec.json.encode((found.evaluation, found.accounts, found.exchanges, found.notes))


@pytest.fixture(scope="module")
def days(traffic: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    for day, part in enumerate(traffic.iter_slices(-(-traffic.height // 4))):
        part.write_parquet(folder / f"day-{day}.parquet")
    return folder


def test_processes_and_steps_do_not_change_the_answer(days: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log([str(days)])
    monkeypatch.setattr(scanning, "_buckets", lambda rows: 3)
    once = answer(scan(log))
    engine = Local(2)
    try:
        assert answer(scan(log, engine=engine)) == once
        monkeypatch.setattr(scanning, "AT_ONCE", 1)
        assert answer(scan(log, engine=engine)) == once
    finally:
        engine.close()


def test_how_accounts_are_dealt_into_buckets_changes_the_last_digits_at_most(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for buckets in (1, 5):
        monkeypatch.setattr(scanning, "_buckets", lambda rows, n=buckets: n)
        findings = scan(log).evaluation.findings
        found.append({f.subject: [e.result.log10_e for e in f.evidence] for f in findings})
    assert found[0].keys() == found[1].keys()
    assert [e for worth in found[0].values() for e in worth] == pytest.approx(
        [e for subject in found[0] for e in found[1][subject]], abs=1e-6
    )


@pytest.mark.parametrize("known", [False, True])
def test_yesterdays_partial_results_are_not_computed_again(
    days: Path, traffic: pl.DataFrame, tmp_path: Path, known: bool
) -> None:
    reference = reference_of_frame(traffic.head(4000), made=MADE, source="x") if known else None
    paths = [str(path) for path in sorted(days.iterdir())]
    whole = scan(open_log(paths), reference=reference)
    assert whole.resumed == 0
    read: list[int] = []
    for upto in range(2, 5):
        found = scan(open_log(paths[:upto]), reference=reference, partials=tmp_path, report=read.append)
        assert found.resumed == (0 if upto == 2 else open_log(paths[: upto - 1]).rows)
    assert answer(found) == answer(whole)
    assert len(list(tmp_path.iterdir())) == 2
    again = scan(open_log(paths), reference=reference, partials=tmp_path)
    assert again.resumed == whole.exchanges
    assert answer(again) == answer(whole)


def test_damaged_partial_results_are_computed_again(days: Path, tmp_path: Path) -> None:
    log = open_log([str(days)])
    whole = scan(log, partials=tmp_path)
    for path in tmp_path.rglob("00000"):
        path.write_bytes(b"nonsense")
    again = scan(log, partials=tmp_path)
    assert again.resumed == 0
    assert answer(again) == answer(whole)


def test_a_file_given_twice_is_read_once_and_said(days: Path, tmp_path: Path) -> None:
    paths = [str(path) for path in sorted(days.iterdir())]
    copy = tmp_path / "copy.parquet"
    copy.write_bytes((days / "day-1.parquet").read_bytes())
    whole, more = scan(open_log(paths)), scan(open_log([*paths, str(copy), paths[0]]))
    assert more.evaluation == whole.evaluation
    assert more.exchanges == whole.exchanges
    assert [note.split(" holds")[0] for note in more.notes] == [str(copy), paths[0]]


def test_rows_that_come_again_in_another_file_count_once_and_are_counted(
    days: Path, traffic: pl.DataFrame, tmp_path: Path
) -> None:
    traffic.slice(1000, 500).write_parquet(tmp_path / "again.parquet")
    whole, more = scan(open_log([str(days)])), scan(open_log([str(days), str(tmp_path / "again.parquet")]))
    assert more.evaluation == whole.evaluation
    assert more.notes == ("500 exchanges came twice and were counted once",)


def test_a_log_without_a_row_finds_nobody(tmp_path: Path) -> None:
    pl.DataFrame({"account_id": pl.Series([], dtype=pl.String), "prompt": []}).write_parquet(tmp_path / "a.parquet")
    found = scan(open_log([str(tmp_path)]))
    assert found.accounts == []
    assert found.evaluation.findings == ()


def test_odd_texts_and_clocks_neither_stop_a_scan_nor_change_what_is_found(
    traffic: pl.DataFrame, tmp_path: Path
) -> None:
    """Prompts of a megabyte, empty ones, any script, clocks far off, events out of order, one exchange an account, and
    one tenant that is most of the traffic: beside them the ring stands out as before.
    """
    scripts = [
        "Wie spät ist es?",
        "何時ですか",
        "сколько времени",
        "كم الساعة",
        "क्या समय है",
        "ឥឡូវម៉ោងប៉ុន្មាន",
        "🙂🙃",
        "\ud800 half",
    ]
    texts = ["", " ", "\x00", "a b " * 250_000, *scripts]
    day = datetime(2026, 3, 2)  # noqa: DTZ001 - a Parquet log's times are UTC without saying so
    clocks = [datetime(1970, 1, 1), datetime(2099, 1, 1), day, None]  # noqa: DTZ001
    odd = pl.DataFrame(
        {
            "account_id": [f"odd-{number}" for number in range(len(texts))] + ["crowd"] * 9000,
            "prompt": [text.encode("utf-8", "replace").decode() for text in texts]
            + [f"where is parcel {'abcdefgh'[n % 8]}{'klmnopq'[n % 7]}{'uvwxyz'[n % 6]}" for n in range(9000)],
            "time": [clocks[number % 4] for number in range(len(texts))] + [day] * 9000,
        }
    )
    path = tmp_path / "log.parquet"
    pl.concat([odd, traffic.sample(fraction=1.0, shuffle=True, seed=1)], how="diagonal_relaxed").write_parquet(path)
    found = scan(open_log([str(path)]))
    assert found.exchanges == traffic.height + odd.height
    worth, accused = best_ring(found.evaluation)
    assert worth > 2.0
    assert accused == {f"ring-{i}" for i in range(240, 270)}
