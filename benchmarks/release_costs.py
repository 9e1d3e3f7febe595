"""What each release measure costs an honest user, on the embedded teacher: the figures of ``protect.release.COSTS``.

    python benchmarks/release_costs.py          # some minutes of one core

Log-probabilities: a classifier that reads the first token's among four answers (intents of real short requests), and
the likelihood of whole answers. Reasoning: step-by-step answers to sums in words, their conclusions read with the steps
before them and without. Sealing: microseconds and bytes. n: drawing three answers at once against one by one. What is
drawn is kept in --folder, with what ``worth.py`` draws; prompts are read from ../shared/traffic/prompts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from parts import worth_harvest as harvest
from spiritsafe.protect.release import Release, coarse, summary
from spiritsafe.protect.sealed_reasoning import Binding, seal, unseal
from spiritsafe.stats import clopper_pearson
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Options

CHOICES = 4
STEP = Release().step
FORMS: dict[str, tuple[int, float]] = {
    "20 shown": (20, 0.0),
    f"20 by {STEP}": (20, STEP),
    "5 shown": (5, 0.0),
    f"5 by {STEP}": (5, STEP),
    "20 by 1": (20, 1.0),
}


class Item(NamedTuple):
    """One question to a classifier; ``right`` is the place of the true one among ``labels``."""

    text: str
    labels: tuple[str, ...]
    right: int


def items(count: int) -> list[Item]:
    """Requests with their true intent among three others, no two labels beginning with the same word."""
    dice = Random(1)
    rows = harvest.rows("clinc150")
    names = sorted({str(row["intent"]).replace("_", " ") for row in rows if row.get("intent")})
    found = []
    for row in dice.sample([row for row in rows if row.get("intent")], count):
        true = str(row["intent"]).replace("_", " ")
        others: list[str] = []
        while len(others) < CHOICES - 1:
            other = dice.choice(names)
            if other.split()[0] not in {one.split()[0] for one in (true, *others)}:
                others.append(other)
        labels = [true, *others]
        dice.shuffle(labels)
        found.append(Item(str(row["prompt"]), tuple(labels), labels.index(true)))
    return found


def asked(item: Item) -> str:
    """A text to be continued by one of the labels."""
    return f"Topics: {', '.join(item.labels)}.\nRequest: {item.text}\nTopic of the request:"


def rendered(tokenizer: Any, prompt: str, answer: str = "") -> tuple[list[int], list[int]]:
    turn = [{"role": "user", "content": prompt}]
    before = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
    return (
        tokenizer.encode(before, add_special_tokens=False),
        tokenizer.encode(answer, add_special_tokens=False) if answer else [],
    )


def classify(teacher: Any, count: int) -> None:
    """A classifier by the first token's log-probabilities, under each form in which they may leave."""
    tokenizer = teacher.tokenizer
    told, rights = [], []
    greedy = 0
    for item in items(count):
        firsts = [tokenizer.encode(f" {label}", add_special_tokens=False)[0] for label in item.labels]
        row = teacher.logits(tokenizer.encode(asked(item)))[-1].log_softmax(-1)
        greedy += int(row.argmax()) in firsts
        told.append((row, firsts))
        rights.append(item.right)
    whole = [[float(row[first]) for first in firsts] for row, firsts in told]
    best = [int(np.argmax(each)) for each in whole]
    print(f"\na classifier of {count} requests, {CHOICES} labels each, by the first token that continues the text")
    print(f"with the whole distribution {share(best, rights)} right; greedily a label is begun in {greedy / count:.3f}")
    heads = ("all labels told", "the best told", "same decision", "right", "calibration error")
    print(f"{'log-probabilities':<18}" + "".join(f"{head:>24}" for head in heads))
    for name, (top, step) in FORMS.items():
        seen = [released(row, firsts, top, step) for row, firsts in told]
        decided = [decision(each, at) for at, each in enumerate(seen)]
        same = [a == b for a, b in zip(decided, best, strict=True)]
        every = statistics.fmean(all(value is not None for value in each) for each in seen)
        some = statistics.fmean(each[b] is not None for each, b in zip(seen, best, strict=True))
        off = calibration(seen, decided, rights)
        cells = (f"{every:.3f}", f"{some:.3f}", interval(same), share(decided, rights), f"{off:.3f}")
        print(f"{name:<18}" + "".join(f"{cell:>24}" for cell in cells))
    print(f"calibration error with the whole distribution {calibration(whole, best, rights):.3f}")


def released(row: torch.Tensor, firsts: Sequence[int], top: int, step: float) -> list[float | None]:
    """What a client learns of each label's first token: None where it is not among the ``top``."""
    values, ids = row.topk(top)
    told = {int(i): coarse(float(v), step) if step else float(v) for v, i in zip(values, ids, strict=True)}
    return [told.get(first) for first in firsts]


def decision(seen: Sequence[float | None], at: int) -> int:
    """The likeliest label of those told; a tie by a coin of the item's own, a blank one by chance."""
    best = max((value for value in seen if value is not None), default=None)
    return Random(at).choice([i for i, value in enumerate(seen) if value == best or best is None])


def calibration(seen: Sequence[Sequence[float | None]], decided: Sequence[int], rights: Sequence[int]) -> float:
    """Expected calibration error over ten bins: confidence in the decided label, among those told, against truth."""
    confidence = []
    for each, choice in zip(seen, decided, strict=True):
        mass = [0.0 if value is None else float(np.exp(value)) for value in each]
        confidence.append(mass[choice] / sum(mass) if sum(mass) else 1.0 / CHOICES)
    right = np.asarray([a == b for a, b in zip(decided, rights, strict=True)], dtype=float)
    bins = np.minimum((np.asarray(confidence) * 10).astype(int), 9)
    gaps = [abs(right[bins == b].sum() - np.asarray(confidence)[bins == b].sum()) for b in range(10)]
    return float(sum(gaps) / len(right))


def likelihoods(teacher: Any, lessons: Sequence[harvest.Lesson]) -> None:
    """How far off a token's, an answer's and a ranking's likelihood are on a grid."""
    rows = []
    for lesson in lessons:
        before, _ = rendered(teacher.tokenizer, lesson.prompt)
        after = list(lesson.answers[0].ids)
        logits = teacher.logits([*before, *after])[len(before) - 1 : -1].log_softmax(-1)
        rows.append(logits.gather(-1, torch.tensor(after)[:, None])[:, 0].tolist())
    print(f"\n{sum(map(len, rows)):,} tokens of {len(rows)} answers: error in nats")
    heads = ("a token, mean", "largest", "a mean over an answer", "perplexity", "pairs ranked alike")
    print(f"{'step':<8}" + "".join(f"{head:>24}" for head in heads))
    for step in (0.125, STEP, 0.5, 1.0):
        off = [[coarse(value, step) - value for value in row] for row in rows]
        flat = np.abs([value for row in off for value in row])
        means = [statistics.fmean(row) for row in off]
        own, told = (
            [statistics.fmean(each) for each in many] for many in (rows, [[coarse(v, step) for v in r] for r in rows])
        )
        pairs = [(a, b) for a in range(len(rows)) for b in range(a)]
        alike = statistics.fmean((own[a] > own[b]) == (told[a] > told[b]) for a, b in pairs)
        ratio = statistics.fmean(abs(np.exp(-mean) - 1) for mean in means)
        cells = (f"{flat.mean():.3f}", f"{flat.max():.3f}", f"{statistics.fmean(map(abs, means)):.4f}", f"{ratio:.2%}")
        print(f"{step:<8}" + "".join(f"{cell:>24}" for cell in (*cells, f"{alike:.4f}")))


def reasoning(teacher: Any, lessons: Sequence[harvest.Lesson]) -> None:
    """What is left of a step-by-step answer, and how likely its conclusion is for a turn that starts without it."""
    print(f"\nreasoning: {len(lessons)} step-by-step answers")
    forms: dict[str, list[tuple[str, str, str]]] = {"shown": [], "summarised": [], "withheld": []}
    for lesson in lessons:
        steps, conclusion = harvest.parted(lesson.answers[0].text)
        forms["shown"].append((lesson.prompt, steps, conclusion))
        forms["summarised"].append((lesson.prompt, summary(steps) if steps else "", conclusion))
        forms["withheld"].append((lesson.prompt, "", conclusion))
    print(f"{'':<12}{'bytes a user gets':>18}{'share':>8}{'nats a token of the conclusion, read after it':>48}")
    whole = statistics.fmean(len((s + c).encode()) for _, s, c in forms["shown"])
    for name, rows in forms.items():
        size = statistics.fmean(len((steps + conclusion).encode()) for _, steps, conclusion in rows)
        nats, count = 0.0, 0
        for prompt, steps, conclusion in rows:
            before, begun = rendered(teacher.tokenizer, prompt, steps + "\n" if steps else "")
            after = teacher.tokenizer.encode(conclusion, add_special_tokens=False)
            logits = teacher.logits([*before, *begun, *after])[len(before) + len(begun) - 1 : -1].log_softmax(-1)
            nats -= float(logits.gather(-1, torch.tensor(after)[:, None]).sum())
            count += len(after)
        print(f"{name:<12}{size:>18.0f}{size / whole:>8.2f}{nats / count:>48.3f}")


def sealing() -> None:
    """What sealing takes: time and bytes."""
    root, place = bytes(32), Binding("account", "session", "model", 3)
    print(f"\nsealing{'bytes':>9}{'sealed':>9}{'ratio':>8}{'seal us':>10}{'unseal us':>11}")
    for size in (200, 2_000, 20_000):
        text = "a" * size
        blob = seal(text, root, place)
        took = [timed(lambda text=text: seal(text, root, place)), timed(lambda blob=blob: unseal(blob, root, place))]
        print(f"{'':<7}{size:>9,}{len(blob):>9,}{len(blob) / size:>8.2f}{took[0]:>10.0f}{took[1]:>11.0f}")


def timed(function: Any, rounds: int = 300) -> float:
    """CPU microseconds a call, the least of five rounds."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        for _ in range(rounds):
            function()
        best = min(best, (time.process_time() - began) / rounds)
    return best * 1e6


def several(plain: Sequence[harvest.Lesson], single: Sequence[harvest.Lesson]) -> None:
    """Three answers at once, against one: CPU seconds an answer."""
    together = statistics.fmean(each.seconds for each in plain) / 3
    alone = statistics.fmean(each.seconds for each in single)
    said = f"{alone:.3f} one by one ({alone / together:.2f} times)"
    print(f"\nn: {together:.3f} CPU s an answer where three share a prompt, {said}")


def interval(hits: Sequence[bool]) -> str:
    low, high = clopper_pearson(sum(hits), len(hits))
    return f"{statistics.fmean(hits):.3f} [{low:.3f}, {high:.3f}]"


def share(decided: Sequence[int], rights: Sequence[int]) -> str:
    return interval([a == b for a, b in zip(decided, rights, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".bench/worth"), help="the one of worth.py")
    parser.add_argument("--items", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    path = given.folder / "sizes.json"
    told = json.loads(path.read_text()) if path.exists() else {}
    sizes = harvest.Sizes(**told) if told else harvest.SIZES
    prompts, held = harvest.questions(sizes)
    single = harvest.harvested(given.folder, "held", held, harvest.drawing(sizes, 1, 2))
    plain = harvest.harvested(given.folder, "plain", prompts, harvest.drawing(sizes, 3, 1))
    steps = harvest.stepwise(given.folder, sizes)
    with closing(open_teacher("smollm2", Options(threads=1))) as teacher:
        classify(teacher, given.items)
        likelihoods(teacher, single)
        reasoning(teacher, steps)
    sealing()
    several(plain, single)


if __name__ == "__main__":
    main()
