from __future__ import annotations

import pytest

from spiritsafe.cli import progress as module
from spiritsafe.cli.progress import progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_what_is_quick_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("scan", 100, "rows") as tell:
        clock.now = 1.9
        tell(50)
    assert capsys.readouterr() == ("", "")


def test_what_takes_long_says_how_much_is_left(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("scan", 1000, "rows") as tell:
        clock.now = 4.0
        tell(0)
        tell(100)
        clock.now = 5.0
        tell(200)
        clock.now = 60.0
        tell(250)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "scan: 100 of 1,000 rows, about 36 s left",
        "scan: 250 of 1,000 rows, about 3 min 0 s left",
    ]


def test_a_terminal_sees_one_line_that_is_cleared(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("scan", 10, "rows") as tell:
        clock.now = 3.0
        tell(5)
    err = capsys.readouterr().err
    assert err.startswith("\r")
    assert "\n" not in err
    assert err.endswith("\r\x1b[2K")
