"""What each measure of protection is worth: what it costs the teacher, what it takes from a thief's student, and what
the student alone then proves.

    python benchmarks/worth.py                      # all rows at the sizes below; some hours of one core
    python benchmarks/worth.py --rows kgw control   # some of them
    python benchmarks/worth.py --table              # what is done so far

The embedded teacher answers a fixed set of prompts under each measure. A student, the teacher cut to its most
influential layers, learns each harvest with the same budget, and an innocent one learns other answers of the same
teacher to the same prompts. Whatever is drawn, trained or said is kept in --folder, and a second run goes on from
there. Prompts are read from ../shared/traffic/prompts; where that is absent nothing runs.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import msgspec
import torch

from parts import worth_harvest as harvest
from parts import worth_proof as proof
from parts import worth_students as students
from parts.worth_harvest import CHOICE, GUMBEL, KGW, Lesson, Sizes
from parts.worth_proof import Found
from spiritsafe.distill.score import Scores
from spiritsafe.distill.weights import load_tokenizer, weights_folder
from spiritsafe.protect.canaries import placed
from spiritsafe.protect.marks.choice import Choice, choose
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.release import summary
from spiritsafe.prove.suspect_weights import WeightsSuspect
from spiritsafe.prove.transcript import Journaled

LOGPROB_PAIRS = 128
HELP = {
    "held": "prompts that students are judged on",
    "tokens": "the longest answer",
    "problems": "sums in words, answered step by step",
    "problem_tokens": "the longest of those answers",
}
OPEN_WINDOWS = 96
AGAIN, AGAIN_EACH = 25, 10
Texts = list[tuple[str, str]]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it is kept. ``proofs`` by instrument: (standard deviations, log10 p, n, unit)."""

    worth: students.Worth
    taught: students.Taught
    proofs: dict[str, tuple[float, float, int, str]]


class World:
    """The harvests of one folder, drawn when they are first asked for."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder = folder
        self.sizes = sizes
        self.prompts, self.unseen = harvest.questions(sizes)

    def _drawn(self, name: str, prompts: Sequence[str], n: int, seed: int, marked: str = "") -> list[Lesson]:
        return harvest.harvested(self.folder, name, prompts, harvest.drawing(self.sizes, n, seed), marked)

    @property
    def plain(self) -> list[Lesson]:
        """Three answers to each prompt: two twins, and one for the innocent."""
        return self._drawn("plain", self.prompts, 3, 1)

    @property
    def held(self) -> Texts:
        """The teacher's plain answers that students are judged on."""
        return [(each.prompt, each.answers[0].text) for each in self._drawn("held", self.unseen, 1, 2)]

    def marked(self, name: str) -> list[Lesson]:
        return self._drawn(name, self.prompts, 1, {KGW: 3, GUMBEL: 4}[name], name)

    def again(self, share: float) -> list[Lesson]:
        """More plain answers to the first prompts, which nobody learns: what they are read along for a mark."""
        prompts = self.prompts[: round(share * len(self.prompts))][:AGAIN]
        return self._drawn("again", prompts, AGAIN_EACH, 77)

    @property
    def served(self) -> Texts:
        """What left where each answer was drawn twice: by the coin."""
        chosen = zip(self.plain, harvest.coins(self.sizes), strict=True)
        return [(lesson.prompt, lesson.answers[coin].text) for lesson, coin in chosen]

    @property
    def elsewhere(self) -> Texts:
        return [(lesson.prompt, lesson.answers[2].text) for lesson in self.plain]

    def with_mark(self, name: str, share: float = 1.0) -> Texts:
        """A ``share`` of the prompts answered with the mark, the others without."""
        marked = [(lesson.prompt, lesson.answers[0].text) for lesson in self.marked(name)]
        count = round(share * len(marked))
        return [*marked[:count], *self.served[count:]]

    @property
    def chosen(self) -> Texts:
        """The best of the three answers under the key: three independent draws are what the mark asks for."""
        found, key = mark(CHOICE), harvest.bench_key(CHOICE)
        assert isinstance(found, Choice)
        return [
            (each.prompt, each.answers[choose(found, key.sip, [one.text for one in each.answers])].text)
            for each in self.plain
        ]

    @property
    def planted(self) -> Texts:
        """The served answers, each canary in ``TIMES`` of them."""
        birds = proof.birds() * proof.TIMES
        return [
            (prompt, placed(answer, birds[at])) if at < len(birds) else (prompt, answer)
            for at, (prompt, answer) in enumerate(self.served)
        ]

    def steps(self, form: Callable[[str], str]) -> Texts:
        """Problems with their step-by-step answers as they leave; the last quarter is held out."""
        lessons = harvest.stepwise(self.folder, self.sizes)
        return [(each.prompt, form(each.answers[0].text)) for each in lessons[: len(lessons) * 3 // 4]]

    @property
    def held_steps(self) -> Texts:
        lessons = harvest.stepwise(self.folder, self.sizes)
        return [(each.prompt, each.answers[0].text) for each in lessons[len(lessons) * 3 // 4 :]]

    def mixed(self, share: float) -> Texts:
        """A ``share`` of what was served, the rest from elsewhere."""
        count = round(share * len(self.prompts))
        return [*self.served[:count], *self.elsewhere[count:]]


class Row(NamedTuple):
    """One measure, or attack: what its student learns, from which start, and which instruments look at it.

    ``pairs`` and ``asked`` are the share of the prompts that the twins' tests look at, and that are asked for a mark;
    ``served`` the share that the mark was served to. ``passes`` over the harvest for one.
    """

    says: str
    learns: Callable[[World], Texts]
    instruments: tuple[str, ...]
    targets: Callable[..., Any] | None = None
    begins: str = ""
    pairs: float = 1.0
    held: str = "held"
    asked: float = 1.0
    served: float = 1.0
    passes: float = 1.0


ROWS: dict[str, Row] = {
    "control": Row("innocent", lambda w: w.elsewhere, ("twins", "twins text", "canaries")),
    "plain": Row(
        "no measure; answered twice", lambda w: w.served, ("twins", "twins text", KGW, GUMBEL, f"{KGW} served"),
        served=0.1,
    ),
    "kgw": Row(f"mark {KGW}", lambda w: w.with_mark(KGW), (KGW, f"{KGW} open")),
    "gumbel": Row(f"mark {GUMBEL}", lambda w: w.with_mark(GUMBEL), (GUMBEL, f"{GUMBEL} open"), asked=0.5),
    "kd20": Row(
        "logprobs shown: 20 a token", lambda w: w.served, ("twins",), targets=students.told_logprobs(20, 0.0)
    ),
    "kd5coarse": Row(
        "logprobs: 5 a token, by quarters of a nat", lambda w: w.served, ("twins",),
        targets=students.told_logprobs(5, 0.25),
    ),
    "canaries": Row("canaries planted", lambda w: w.planted, ("canaries",)),
    "kgw10": Row(
        f"a tenth marked {KGW}", lambda w: w.with_mark(KGW, 0.1),
        (KGW, f"{KGW} open", f"{KGW} served", f"{KGW} served open"), asked=0.5, served=0.1,
    ),
    "kgw10x2": Row(
        f"a tenth marked {KGW}, two passes", lambda w: w.with_mark(KGW, 0.1), (f"{KGW} served",), served=0.1, passes=2.0
    ),
    "kgw10x3": Row(
        f"a tenth marked {KGW}, three passes", lambda w: w.with_mark(KGW, 0.1), (f"{KGW} served", f"{KGW} served open"),
        served=0.1, passes=3.0,
    ),
    "kgw50": Row(f"half marked {KGW}", lambda w: w.with_mark(KGW, 0.5), (KGW, f"{KGW} open"), asked=0.5),
    "cleaned": Row("clean training after", lambda w: w.elsewhere, ("twins", "twins text"), begins="plain"),
    "mixed": Row("a quarter served, the rest clean", lambda w: w.mixed(0.25), ("twins",), pairs=0.25),
    "choice": Row(f"mark {CHOICE}", lambda w: w.chosen, (CHOICE,), asked=0.5),
    "kd20coarse": Row(
        "logprobs: 20 a token, by quarters of a nat", lambda w: w.served, ("twins",),
        targets=students.told_logprobs(20, 0.25),
    ),
}  # fmt: skip


def shown(text: str) -> str:
    """Steps and conclusion."""
    return text


def summarised(text: str) -> str:
    """What the release policy leaves of the steps, and the conclusion."""
    steps, conclusion = harvest.parted(text)
    return f"{summary(steps)}\n{conclusion}" if steps else conclusion


def withheld(text: str) -> str:
    """The conclusion alone."""
    return harvest.parted(text)[1]


for form in (shown, summarised, withheld):
    ROWS[f"steps-{form.__name__}"] = Row(
        f"reasoning {form.__name__}", partial(World.steps, form=form), (), held="held_steps"
    )


def done(world: World, name: str) -> Outcome | None:
    path = world.folder / "results" / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Outcome) if path.exists() else None


def make(world: World, name: str) -> None:
    """Train the row's student and measure it, or what of it is not there yet."""
    row, sizes, before = ROWS[name], world.sizes, done(world, name)
    missing = [each for each in row.instruments if before is None or each not in before.proofs]
    if before is not None and not missing:
        return
    start = students.started(world.folder, sizes.layers, world.elsewhere)
    if row.begins:
        make(world, row.begins)
        start = world.folder / "students" / row.begins
    students.student(world.folder, name, start, row.learns(world), sizes.epochs * row.passes, targets=row.targets)
    worth = before.worth if before else worth_of(world, world.folder / "students" / name, row.held)
    proofs = dict(before.proofs) if before else {}
    for each in missing:
        height, log10_p, n, unit = measured(world, name, each)
        proofs[each] = (height, log10_p, n, unit)
    taught = students.taught(world.folder, name)
    assert taught is not None
    path = world.folder / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(Outcome(worth=worth, taught=taught, proofs=proofs)))


def worth_of(world: World, model: Path, held: str = "held") -> students.Worth:
    """A student's loss, beside the teacher."""
    mine = students.scores_on(model, getattr(world, held), beside=weights_folder("smollm2"))
    return students.worth_of(mine, teacher_scores(world, held))


def teacher_scores(world: World, held: str = "held") -> Scores:
    """The teacher's own nats on answers held out, reckoned once."""
    path = world.folder / f"teacher-{held}.json"
    if not path.exists():
        source = weights_folder("smollm2")
        path.write_bytes(msgspec.json.encode(students.scores_on(source, getattr(world, held))))
    return msgspec.json.decode(path.read_bytes(), type=Scores)


def measured(world: World, name: str, instrument: str) -> Found:
    """One instrument's word on one student; innocents are judged under the very key."""
    row = ROWS[name]
    plain = world.plain[: round(row.pairs * len(world.plain))]
    suspect, kept = proof.opened(world.folder, name)
    try:
        if instrument == "twins":
            return proof.by_logprobs(kept, plain[:LOGPROB_PAIRS], world.sizes)
        if instrument == "twins text":
            return proof.by_text(kept, plain, world.sizes)
        if instrument == "canaries":
            return proof.by_canaries(kept)
        if " served" in instrument:
            return among_served(world, name, instrument, suspect, kept)
        key = instrument.removesuffix(" open")
        other, innocent = proof.opened(world.folder, "control")
        try:
            if instrument.endswith(" open"):
                along = [msgspec.structs.replace(each, answers=each.answers[2:]) for each in world.plain[:OPEN_WINDOWS]]
                return proof.opened_up(key, suspect, [other], proof.windows(suspect, along))
            asked = world.prompts[: round(row.asked * len(world.prompts))]
            said, control = (proof.written(each, asked, world.sizes) for each in (kept, innocent))
            return proof.closed(key, said, control, suspect.tokenizer)
        finally:
            innocent.close()
            other.close()
    finally:
        kept.close()
        suspect.close()


def among_served(world: World, name: str, instrument: str, suspect: WeightsSuspect, kept: Journaled) -> Found:
    """A mark looked for where it was served: the very prompts, closed beside a control that reads, or open."""
    key, form = instrument.split(" served")
    again = world.again(ROWS[name].served)
    others = [proof.opened(world.folder, each) for each in ("control", "plain")]
    try:
        if form:
            return proof.opened_up(key, suspect, [each for each, _ in others], proof.windows(suspect, again))
        said = proof.written(kept, [each.prompt for each in again], world.sizes, AGAIN_EACH)
        return proof.foretold(key, said, others[0][1], suspect.tokenizer)
    finally:
        for both in others:
            for each in both:
                each.close()


def table(world: World) -> None:
    """The rows that are done."""
    path = world.folder / "untrained.json"
    if not path.exists():
        start = students.started(world.folder, world.sizes.layers, world.elsewhere)
        path.write_bytes(msgspec.json.encode(worth_of(world, start)))
    cut = msgspec.json.decode(path.read_bytes(), type=students.Worth)
    print(f"teacher {cut.kept.teacher:.3f} nats a token; student untrained {_worth(cut)}")
    for name, row in ROWS.items():
        found = done(world, name)
        if found is None:
            continue
        print(f"{name:<18}{row.says:<44}{_worth(found.worth)}  {found.taught.seconds:.0f} CPU s")
        for instrument, (height, log10_p, n, unit) in found.proofs.items():
            print(f"{'':<18}  {instrument:<28} statistic {height:6.2f}  log10 p {log10_p:8.2f}  {n} {unit}")


def _worth(worth: students.Worth) -> str:
    low, high = worth.kept.interval or (math.nan, math.nan)
    return (
        f"{worth.nats:.3f} [{worth.low:.3f}, {worth.high:.3f}] nats, "
        f"kept {worth.kept.value or 0.0:.3f} [{low:.3f}, {high:.3f}], KL {worth.kl:.3f}, agreed {worth.agreed:.3f}"
    )


def curves(world: World) -> None:
    """How each proof grows with what there is to read, from what the students said; nobody is asked again."""
    print("\nlog10 p by pairs")
    for name in ("plain", "cleaned", "control"):
        if (kept := proof.replayed(world.folder, name)) is None or done(world, name) is None:
            continue
        for access, judge in (("logprobs", proof.by_logprobs), ("text", proof.by_text)):
            most = LOGPROB_PAIRS if access == "logprobs" else len(world.plain)
            parts = [n for n in (25, 50, 100, 200, len(world.plain)) if n <= most]
            cells = "".join(f"{n:>6}: {judge(kept, world.plain[:n], world.sizes).log10_p:8.2f}" for n in parts)
            print(f"  {name:<10}{access:<10}{cells}", flush=True)
    print("radioactivity, closed, by the share of what was written: sd and log10 p, once and against the control")
    tokenizer = load_tokenizer(weights_folder("smollm2"))
    for name, row in ROWS.items():
        marks = [each for each in row.instruments if each in (KGW, GUMBEL, CHOICE)]
        if not marks:
            continue
        kept, innocent = (proof.replayed(world.folder, each) for each in (name, "control"))
        if kept is None or innocent is None or done(world, name) is None:
            continue
        asked = world.prompts[: round(row.asked * len(world.prompts))]
        said, control = (proof.written(each, asked, world.sizes) for each in (kept, innocent))
        for each in marks:
            for other in (None, control):
                found = [proof.closed(each, said, other, tokenizer, share) for share in (0.25, 0.5, 1.0)]
                cells = "".join(f"{one.n:>9,}: {one.height:5.2f} ({one.log10_p:6.2f})" for one in found)
                print(f"  {name:<10}{each:<18}{'once' if other is None else 'control':<9}{cells}", flush=True)


def prices(world: World) -> None:
    """What the teacher's honest users pay: the text's perplexity, and the drawing."""
    plain = world.plain
    drawn = {"none": [one for each in plain for one in each.answers]}
    seconds = {"none": sum(each.seconds for each in plain) / 3}
    for name in (KGW, GUMBEL):
        lessons = harvest.read_lessons(world.folder / "harvests" / f"{name}.jsonl")
        if len(lessons) >= len(plain):
            drawn[name] = [each.answers[0] for each in lessons]
            seconds[name] = sum(each.seconds for each in lessons)
    best = {text for _, text in world.chosen}
    drawn[CHOICE] = [one for each in plain for one in each.answers if one.text in best]
    seconds[CHOICE] = 3 * seconds["none"]
    for name, answers in drawn.items():
        means = torch.tensor([one.nats / max(1, len(one.ids)) for one in answers], dtype=torch.float64)
        factor = math.exp(1.96 * float(means.std()) / math.sqrt(len(means)))
        print(
            f"{name:<20} perplexity {math.exp(float(means.mean())):.2f} (x/ {factor:.2f})  "
            f"{seconds[name] / len(plain):.3f} CPU s an answer"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".bench/worth"))
    for name, default in harvest.SIZES._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=HELP.get(name))
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--table", action="store_true", help="print what is done and make nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    sizes = Sizes(*(getattr(given, name) for name in Sizes._fields))
    world = World(settled(given.folder, sizes), sizes)
    if not given.table:
        for name in given.rows:
            began, clock = time.process_time(), time.monotonic()
            make(world, name)
            print(f"{name}: {time.process_time() - began:.0f} CPU s, {time.monotonic() - clock:.0f} s", flush=True)
    prices(world)
    table(world)
    if given.table:
        curves(world)


def settled(folder: Path, sizes: Sizes) -> Path:
    """The folder, made for these sizes and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    path, told = folder / "sizes.json", msgspec.json.encode(sizes._asdict())
    if path.exists() and path.read_bytes() != told:
        sys.exit(f"{folder} holds other sizes, {path.read_text()}: give another --folder")
    path.write_bytes(told)
    return folder


if __name__ == "__main__":
    main()
