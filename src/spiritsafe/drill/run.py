"""The drill, read from top to bottom: cast, calibrate, raise the gateway, play, teach, stop, verify, reckon, tell."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from openai import AsyncOpenAI

from spiritsafe.detect import calibrate
from spiritsafe.detect import reference as references
from spiritsafe.drill import account, circle, laboratory, looks, stage, telling
from spiritsafe.drill.account import Outcome
from spiritsafe.drill.board import Board
from spiritsafe.drill.crowd import crowd
from spiritsafe.drill.onlooker import Duty, Onlooker
from spiritsafe.drill.play import Played, Stop, play
from spiritsafe.drill.scenario import RING, Scenario, Size, scenario
from spiritsafe.drill.screen import Screen
from spiritsafe.errors import ResourceError
from spiritsafe.evidence import report
from spiritsafe.policy import rules
from spiritsafe.record.reader import read
from spiritsafe.record.verify import verify
from spiritsafe.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

TEACHER = "smollm2"
CROWD_SEED = 1_000_003
"""Added to the drill's own seed: the crowd and the cast never have one in common."""

LOOKS = 60

SECOND_THOUGHTS = 6.0
"""Seconds that the watcher has to judge what the laboratory asked before the gateway stops: three of its looks."""

MARK = ".spiritsafe-drill"
WRITTEN = ("report.html", "drill.json", "gateway.yaml", "gateway.log")


class Drilled(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill comes to: the outcome, where everything lies, and what the seconds went into."""

    passed: bool
    verdict: str
    outcome: Outcome
    report: str
    data: str
    setup_seconds: float
    play_seconds: float
    whole_seconds: float


def drill(out: Path, size: Size, seed: int, *, teacher: str = TEACHER, quiet: bool = False) -> Drilled:
    """Play the affair in ``out`` and write ``report.html`` and ``drill.json`` into it.

    Raises ``ResourceError`` if the folder can't be used, or the gateway or its model do not come up.
    """
    started = time.monotonic()
    data = _prepare(out)
    cast = scenario(seed, size)
    ids, secrets = stage.cast_into(cast, data)
    lab = laboratory.enrol(data, out / laboratory.NAME, size)
    board = Board(target=size.exchanges, deadline=size.deadline, line=2.0)
    with Screen(board, quiet=quiet) as screen:
        screen.update(stage="calibrating on a simulated honest crowd")
        reference = _calibrated(data / "reference", size, seed)
        waiting = f"starting the gateway and the model {teacher}"
        with stage.raised(out, data, teacher, lambda _: screen.update(stage=waiting), twinned=size.twinned) as gateway:
            setup = time.monotonic() - started
            board.deadline = max(60.0, min(size.deadline, size.budget - setup))
            began = datetime.now(UTC)
            told = _play(cast, gateway, ids, secrets, reference, board, screen, began)
            seconds = board.now
            screen.update(stage="a laboratory distils under a grant: asking")
            recipe = _enrolled(lab, gateway, teacher, size, seed)
            laboratory.collect(lab, recipe)
            time.sleep(SECOND_THOUGHTS)
            screen.update(stage="stopping the gateway")
        screen.update(stage="a laboratory distils under a grant: training")
        laboratory.graduate(lab, recipe)
        screen.update(stage="verifying the record")
        found = _found(cast, ids, data, teacher, reference, began, seconds, told, lab)
        if size.twinned > 0:
            found = _proved(found, out, data, teacher, size, lambda step: screen.update(stage=step))
        outcome = telling.reckon(found)
        screen.update(stage="writing the report")
        path = report.write(telling.affair(found, outcome), out / "report.html")
        screen.update(stage="done")
    drilled = Drilled(
        passed=outcome.passed,
        verdict=telling.verdict(outcome),
        outcome=outcome,
        report=str(path),
        data=str(data),
        setup_seconds=round(setup, 1),
        play_seconds=round(seconds, 1),
        whole_seconds=round(time.monotonic() - started, 1),
    )
    (out / "drill.json").write_bytes(msgspec.json.format(msgspec.json.encode(drilled), indent=1))
    return drilled


def _prepare(out: Path) -> Path:
    """Make the folder. One that holds an earlier drill is used again: what that drill wrote is removed first."""
    data = out / "data"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if (out / MARK).exists():
            shutil.rmtree(data, ignore_errors=True)
            for folder in (laboratory.NAME, circle.FOLDER):
                shutil.rmtree(out / folder, ignore_errors=True)
            for name in WRITTEN:
                (out / name).unlink(missing_ok=True)
        elif any(out.iterdir()):
            remedy = "Name another with --out: nothing here is from a drill, and a drill won't mix with it."
            raise ResourceError("the folder is not empty", where=str(out), remedy=remedy)
        (out / MARK).write_text("A drill writes here, and clears away the one before.\n", encoding="utf-8")
        data.mkdir(mode=0o700)
    except OSError as error:
        reason = f"the folder can't be used: {error.strerror}"
        raise ResourceError(reason, where=str(out), remedy="Name another with --out.") from error
    return data


def _calibrated(path: Path, size: Size, seed: int) -> references.Reference:
    """Build the reference in a process of its own, whose memory goes back with it, and read it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(build_reference, path, size, seed + CROWD_SEED).result()
    return references.load(path)


def build_reference(path: Path, size: Size, seed: int) -> None:
    """Calibrate the detectors on a simulated crowd of the same kinds of tenants and write that down."""
    exchanges = sorted(crowd(seed, size.honest, size.crowd), key=lambda exchange: exchange.time)
    source = "a simulated crowd of the same kinds of honest tenants, with another seed"
    calibrate.reference_of_exchanges(exchanges, made=datetime.now(UTC), source=source).save(path)


def _play(
    cast: Scenario,
    gateway: stage.Stage,
    ids: dict[str, str],
    secrets: dict[str, str],
    reference: references.Reference,
    board: Board,
    screen: Screen,
    began: datetime,
) -> list[Played]:
    """Everybody talks until the ring is stopped and its refusals were seen, or until there is no time left."""
    names = {account_id: name for name, account_id in ids.items()}
    told: list[Played] = []

    def tell(played: Played) -> None:
        told.append(played)
        board.tell(played)

    onlooker = Onlooker(gateway.data / "record", reference, names, board, rules.default().fdr)
    with (
        open_store(f"sqlite:///{gateway.data.absolute() / 'spiritsafe.db'}") as store,
        ThreadPoolExecutor(1, "drill-onlooker") as thread,
    ):
        looking = thread.submit(onlooker.run)
        try:
            duty = Duty(store, names, board, began)
            asyncio.run(_until_over(cast, gateway, secrets, board, screen, duty, tell))
            duty.look()
        finally:
            onlooker.close()
        looking.result()
    return told


async def _until_over(
    cast: Scenario,
    gateway: stage.Stage,
    secrets: dict[str, str],
    board: Board,
    screen: Screen,
    duty: Duty,
    tell: Callable[[Played], None],
) -> None:
    model = await _model(gateway, next(iter(secrets.values())))
    stop, clock = Stop(), time.monotonic()
    members = {actor.name for actor in cast.actors if actor.kind == RING}

    async def keep() -> None:
        stopped_at: float | None = None
        while not stop.over:
            board.now = time.monotonic() - clock
            await asyncio.to_thread(duty.look)
            screen.update(stage="playing")
            if stopped_at is None and members <= await asyncio.to_thread(duty.stopped):
                stopped_at = board.now
            seen = stopped_at is not None and board.now - stopped_at >= cast.size.aftermath
            if board.now >= board.deadline or (seen and board.count >= board.target):
                stop.now()
            await stop.pause(0.5)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep())
        group.create_task(play(cast, f"{gateway.url}/v1", secrets, model, stop, tell, clock))
    board.now = time.monotonic() - clock


def _enrolled(lab: laboratory.Laboratory, gateway: stage.Stage, teacher: str, size: Size, seed: int) -> Path:
    model = asyncio.run(_model(gateway, lab.secret))
    return laboratory.write_recipe(lab, gateway.url, model, teacher, size, seed)


def _proved(
    found: telling.Found, out: Path, data: Path, teacher: str, size: Size, tell: Callable[[str], None]
) -> telling.Found:
    """The same with its proof; where nobody was stopped there is nothing to prove."""
    if not account.bound(found.decisions, account.STOP):
        return found
    proof = circle.close(out / circle.FOLDER, data, teacher, size, found.exchanges, found.decisions, tell)
    return msgspec.structs.replace(found, proof=proof)


async def _model(gateway: stage.Stage, secret: str) -> str:
    """The name of the model that stands behind the gateway."""
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret) as client:
        return (await client.models.list()).data[0].id


def _found(
    cast: Scenario,
    ids: dict[str, str],
    data: Path,
    teacher: str,
    reference: references.Reference,
    began: datetime,
    seconds: float,
    told: list[Played],
    lab: laboratory.Laboratory,
) -> telling.Found:
    """What the record and the store say, once everything has stopped."""
    verification = verify(data / "record")
    recorded = tuple(exchange for _, exchange in read(data / "record"))
    exchanges = tuple(exchange for exchange in recorded if exchange.account_id != lab.account_id)
    with open_store(f"sqlite:///{data.absolute() / 'spiritsafe.db'}") as store:
        decisions = tuple(store.decisions())
    times = [seconds * (n + 1) / LOOKS for n in range(LOOKS)]
    return telling.Found(
        scenario=cast,
        ids=ids,
        began=began,
        seconds=seconds,
        exchanges=exchanges,
        decisions=decisions,
        looks=tuple(looks.replay(exchanges, reference, began, times)),
        verification=verification,
        lesson=laboratory.lesson(lab, recorded, decisions),
        answered=sum(one.outcome == "served" for one in told),
        fdr=rules.default().fdr,
        reference=reference.because(),
        parameters=(
            ("seed", str(cast.seed)),
            ("model", teacher),
            ("accounts", str(len(ids))),
            ("policy", rules.default().digest()),
            ("reference", reference.digest()),
        ),
    )
