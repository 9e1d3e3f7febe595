"""The ledger of a run: what each stage spent, written down as it is spent.

``ledger.json`` lies in the run's folder. Work that is done again after a crash is entered again: it was paid twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from spiritsafe.distill.flops import from_nothing, pretrain
from spiritsafe.distill.published import Published, published_for
from spiritsafe.errors import InputError, ResourceError

NAME = "ledger.json"
VERSION = 1
WATTS = 65.0
ENERGY_ASSUMPTION = f"{WATTS:g} W for a machine that does not say what it draws; cooling and supply left out"
KWH = 3.6e6


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of spending. ``tokens_in`` the teacher or student read, ``tokens_out`` it wrote, ``tokens_trained``
    were learnt from. ``seconds`` are of the wall; ``watts`` what the machine draws meanwhile, if that is known.
    ``reused`` counts answers that were found again and cost nothing.
    """

    stage: str
    what: str
    time: datetime
    seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_trained: int = 0
    flops: float = 0.0
    money: float = 0.0
    currency: str = "USD"
    watts: float | None = None
    reused: int = 0

    def __post_init__(self) -> None:
        for name in ("seconds", "tokens_in", "tokens_out", "tokens_trained", "flops", "money", "watts", "reused"):
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} is {value}: spending is never below 0")


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """All of a run. Parameters are active ones; None where they are not known."""

    version: int = VERSION
    teacher: str | None = None
    teacher_params: float | None = None
    student_params: float | None = None
    entries: tuple[Entry, ...] = ()


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over entries. ``money`` by currency; ``kwh`` rests on ``energy_assumption``."""

    seconds: float
    tokens_in: int
    tokens_out: int
    tokens_trained: int
    flops: float
    money: dict[str, float]
    kwh: float
    reused: int


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger summed up, and set against the ways of getting such a model without a teacher."""

    stages: dict[str, Total]
    total: Total
    energy_assumption: str
    from_nothing_flops: float | None
    of_from_nothing: float | None
    teacher: str | None
    teacher_published: Published | None
    of_teacher_flops: float | None


class Book:
    """A ledger that is written to; every entry is on disk before ``add`` returns. One writer a run."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.ledger = read_ledger(folder) if self.path.exists() else Ledger()

    def about(
        self, *, teacher: str | None = None, teacher_params: float | None = None, student_params: float | None = None
    ) -> None:
        """Note whom the run is about; what is None stays as it was."""
        known = {"teacher": teacher, "teacher_params": teacher_params, "student_params": student_params}
        self._write(msgspec.structs.replace(self.ledger, **{k: v for k, v in known.items() if v is not None}))

    def add(self, entry: Entry) -> None:
        """Enter one piece of spending."""
        self._write(msgspec.structs.replace(self.ledger, entries=(*self.ledger.entries, entry)))

    def _write(self, ledger: Ledger) -> None:
        part = self.path.with_name(f".{NAME}.part")
        try:
            with part.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(ledger), indent=1))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
        except OSError as error:
            raise ResourceError(
                f"the ledger can't be written: {error.strerror}",
                remedy="Make room or give the right to write there.",
                where=str(self.path),
            ) from error
        self.ledger = ledger


def read_ledger(folder: Path) -> Ledger:
    """The ledger of the run in ``folder``; raises ``InputError`` if there is none or it is not one."""
    path = folder / NAME
    try:
        ledger = msgspec.json.decode(path.read_bytes(), type=Ledger)
    except OSError as error:
        raise InputError("no ledger there", remedy="Give the folder of a run.", where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise InputError(f"not a ledger: {error}", remedy="Give the folder of a run.", where=str(path)) from error
    if ledger.version != VERSION:
        raise InputError(
            f"a ledger of version {ledger.version}, this program reads {VERSION}",
            remedy="Use the program that wrote it, or a newer one.",
            where=str(path),
        )
    return ledger


def bill(ledger: Ledger) -> Bill:
    """Sum a ledger up, by stage in the order of their first entry, and compare."""
    stages = list(dict.fromkeys(e.stage for e in ledger.entries))
    total = _total(ledger.entries)
    scratch = None if ledger.student_params is None else from_nothing(ledger.student_params)
    known = None if ledger.teacher is None else published_for(ledger.teacher)
    teachers = None
    if known is not None and known.params_active is not None and known.tokens is not None:
        teachers = pretrain(known.params_active, known.tokens)
    return Bill(
        stages={s: _total(e for e in ledger.entries if e.stage == s) for s in stages},
        total=total,
        energy_assumption=ENERGY_ASSUMPTION,
        from_nothing_flops=scratch,
        of_from_nothing=None if scratch is None else total.flops / scratch,
        teacher=ledger.teacher,
        teacher_published=known,
        of_teacher_flops=None if teachers is None else total.flops / teachers,
    )


def _total(entries: Iterable[Entry]) -> Total:
    these = list(entries)
    money: dict[str, float] = {}
    for e in these:
        if e.money:
            money[e.currency] = money.get(e.currency, 0.0) + e.money
    return Total(
        seconds=math.fsum(e.seconds for e in these),
        tokens_in=sum(e.tokens_in for e in these),
        tokens_out=sum(e.tokens_out for e in these),
        tokens_trained=sum(e.tokens_trained for e in these),
        flops=math.fsum(e.flops for e in these),
        money=money,
        kwh=math.fsum(e.seconds * (WATTS if e.watts is None else e.watts) for e in these) / KWH,
        reused=sum(e.reused for e in these),
    )
