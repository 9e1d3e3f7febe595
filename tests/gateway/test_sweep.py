from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spiritsafe.gateway.settings import TimeoutSettings
from spiritsafe.gateway.sweep import TICK, Flight, Sweep


@pytest.fixture
async def sweep() -> AsyncIterator[Sweep]:
    made = Sweep(TimeoutSettings(first_byte="300ms", idle="300ms", total="1200ms"))
    made.start()
    yield made
    await made.stop()


async def silent() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def fly(sweep: Sweep, phases: list[tuple[Any, float]], receive: Any = silent) -> tuple[str | None, Flight]:
    """Be under way through phases of some seconds each; how it was cut, if it was."""
    flight = sweep.enter(receive)
    try:
        for phase, length in phases:
            flight.wait(phase)
            await asyncio.sleep(length)
    except asyncio.CancelledError:
        flight.task.uncancel()
        return flight.cut, flight
    finally:
        sweep.leave(flight)
    return None, flight


@pytest.mark.parametrize(
    ("phases", "cut"),
    [
        ([("first_byte", 5)], "timeout_first_byte"),
        ([("first_byte", 0.1), ("idle", 5)], "timeout_idle"),
        ([("busy", 5)], "timeout_total"),
        ([("idle", 0.1)] * 30, "timeout_total"),
        ([("first_byte", 0.1), ("idle", 0.1), ("busy", 0.5), ("idle", 0.1)], None),
    ],
)
async def test_each_stage_has_its_own_limit(sweep: Sweep, phases: list[tuple[Any, float]], cut: str | None) -> None:
    found, _ = await asyncio.create_task(fly(sweep, phases))
    assert found == cut
    assert len(sweep) == 0


async def test_a_client_that_leaves_is_noticed_within_two_ticks(sweep: Sweep) -> None:
    async def leaves() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    began = asyncio.get_running_loop().time()
    found, _ = await asyncio.create_task(fly(sweep, [("busy", 5)], leaves))
    assert found == "client_gone"
    assert asyncio.get_running_loop().time() - began < 1
    assert TICK < 1


async def test_a_request_that_is_quick_costs_no_listener(sweep: Sweep) -> None:
    _, flight = await asyncio.create_task(fly(sweep, [("first_byte", 0.0)]))
    assert flight.listener is None


async def test_the_servers_word_that_an_answer_is_complete_cuts_nothing(sweep: Sweep) -> None:
    done = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await done.wait()
        return {"type": "http.disconnect"}

    _, flight = await asyncio.create_task(fly(sweep, [("busy", 0.5)], receive))
    assert flight.listener is not None
    done.set()
    await asyncio.gather(flight.listener, return_exceptions=True)
    assert flight.cut is None
