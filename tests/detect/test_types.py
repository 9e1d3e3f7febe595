"""What is made of a table."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from spiritsafe.detect.types import LinkTable


def test_what_is_made_of_a_table_is_made_once_whoever_asks() -> None:
    none = np.zeros(0, dtype=np.int64)
    table, made = LinkTable((), none, none, none.astype(np.uint64)), []
    started = threading.Barrier(4)

    def make(of: LinkTable) -> list[int]:
        assert of is table
        made.append(1)
        time.sleep(0.05)
        return made

    def ask(_: int) -> list[int]:
        started.wait()
        return table.once(make)

    with ThreadPoolExecutor(4) as pool:
        assert all(found is made for found in pool.map(ask, range(4)))
    assert made == [1]
