from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from spiritsafe.console.pulse import Pulse
from spiritsafe.record.log import SealedLog


class Clock:
    """Real time, moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def test_what_the_record_takes_in_is_counted_by_second(house: Any) -> None:
    clock = Clock()
    log = SealedLog.open(house.data / "record")
    house.record(9, log=log)
    pulse = Pulse(house.data, clock)
    pulse.start()
    house.record(4, log=log)
    house.record(2, status=403, log=log)
    clock.ahead = 2.0
    try:
        until(lambda: sum(s.served + s.missed for s in pulse.seconds()) == 15)
        seconds = pulse.seconds()
        assert sum(s.served for s in seconds) == 13
        assert sum(s.missed for s in seconds) == 2
        assert sum(s.tokens for s in seconds) == 15 * 30
        assert seconds[-1].active == 3
        assert [s.at for s in seconds] == list(range(seconds[0].at, seconds[0].at + len(seconds)))
    finally:
        pulse.close()
        log.close()


def test_only_seconds_not_told_yet_come_again(house: Any) -> None:
    pulse = Pulse(house.data)
    first = pulse.seconds()
    assert len(first) == 300
    assert pulse.seconds(after=first[-1].at) == [] or pulse.seconds(after=first[-1].at)[0].at == first[-1].at + 1


def test_old_seconds_are_forgotten(house: Any) -> None:
    clock = Clock()
    log = SealedLog.open(house.data / "record")
    pulse = Pulse(house.data, clock)
    pulse.start()
    house.record(3, log=log)
    clock.ahead = 1.5
    try:
        until(lambda: sum(s.served for s in pulse.seconds()) == 3)
        clock.ahead = 400.0
        assert sum(s.served for s in pulse.seconds()) == 0
        assert pulse.seconds()[-1].active == 0
    finally:
        pulse.close()
        log.close()


def test_a_record_that_is_not_there_yet_is_waited_for(house: Any) -> None:
    clock = Clock()
    pulse = Pulse(house.data, clock)
    pulse.start()
    pulse.start()
    try:
        house.record(2)
        clock.ahead = 1.5
        until(lambda: sum(s.served for s in pulse.seconds()) == 2)
    finally:
        pulse.close()


def test_what_was_recorded_before_counts_in_its_own_second_at_once(house: Any) -> None:
    clock = Clock()
    house.record(5)
    clock.ahead = 30.0
    pulse = Pulse(house.data, clock)
    try:
        assert sum(s.served for s in pulse.seconds()) == 0
        pulse.start()
        seconds = pulse.seconds()
        assert sum(s.served for s in seconds) == 5
        assert all(s.served == 0 for s in seconds[-20:]), "none of it came in just now"
    finally:
        pulse.close()
