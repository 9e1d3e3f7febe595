"""Of some accounts the last exchanges are found, wherever in the log they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spiritsafe.errors import BrokenRecord, InputError
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.pick import at_rows, of_accounts

Make = Callable[..., Exchange]
Fill = Callable[..., Path]


@pytest.mark.parametrize("rolls", [(), (12,), (4, 9), (40,), (13, 40)])
def test_the_last_of_each_account_come_in_their_order(fill: Fill, make: Make, rolls: tuple[int, ...]) -> None:
    folder = fill(40, rolls=rolls)
    rows = [n for n in range(40) if n % 5 in (1, 3)]
    assert of_accounts(folder, ["account-1", "account-3", "nobody"], each=99) == [(n, make(n)) for n in rows]
    assert of_accounts(folder, ["account-1", "account-3"], each=2) == [(n, make(n)) for n in (31, 33, 36, 38)]
    assert of_accounts(folder, [], each=2) == []


def test_it_reads_no_further_back_than_it_is_told(fill: Fill) -> None:
    folder = fill(40, rolls=(10, 20, 30))
    found = of_accounts(folder, ["account-1"], each=99, rows=15)
    assert [row for row, _ in found] == [21, 26, 31, 36]


def test_single_rows_are_read(fill: Fill, make: Make) -> None:
    folder = fill(12, rolls=(4, 9))
    assert at_rows(folder, [3, 3, 8, 11, 50]) == {n: make(n) for n in (3, 8, 11)}


def test_no_log_and_a_broken_one_are_said(fill: Fill, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record"):
        of_accounts(tmp_path / "none", ["a"], each=1)
    folder = fill(12, rolls=(6, 12))
    (segment,) = folder.glob("segment-000000000000.parquet")
    segment.write_bytes(segment.read_bytes()[:100])
    with pytest.raises(BrokenRecord, match="can't be read"):
        of_accounts(folder, ["account-1"], each=9)
    segment.unlink()
    with pytest.raises(BrokenRecord, match="missing"):
        of_accounts(folder, ["account-1"], each=9)
