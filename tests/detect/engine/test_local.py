from __future__ import annotations

import os

import pytest

from spiritsafe.detect.engine import ENGINES, open_engine
from spiritsafe.detect.engine.local import Local
from spiritsafe.errors import InputError, ResourceError, UsageError


def square(n: int) -> tuple[int, int]:
    if n == 13:
        raise InputError("thirteen", remedy="Take another.", where="here")
    if n == 17:
        os._exit(9)
    return n * n, os.getpid()


def test_one_worker_is_this_process() -> None:
    engine = Local(1)
    assert list(engine.run(square, [1, 2])) == [(1, os.getpid()), (4, os.getpid())]
    engine.close()


def test_several_workers_are_others_and_results_come_in_order() -> None:
    engine = Local(2)
    try:
        found = list(engine.run(square, range(6)))
        assert [n for n, _ in found] == [0, 1, 4, 9, 16, 25]
        assert os.getpid() not in {pid for _, pid in found}
        engine.rest()
        assert not {pid for _, pid in found} & {pid for _, pid in engine.run(square, range(6))}
        with pytest.raises(InputError, match=r"here: thirteen. Take another\."):
            list(engine.run(square, [1, 13]))
        with pytest.raises(ResourceError, match="memory runs out"):
            list(engine.run(square, [1, 17]))
    finally:
        engine.close()


def test_engines_are_opened_by_name() -> None:
    assert open_engine("local").workers >= 1
    assert open_engine("local", 3).workers == 3
    with pytest.raises(UsageError, match=", ".join(ENGINES)):
        open_engine("cloud")
    with pytest.raises(UsageError, match="1 or more"):
        open_engine("local", 0)
