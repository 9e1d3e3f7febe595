"""Radioactivity: size over many nulls, power against share and text, tenants named, and what attacks leave.

    benchmarks/radioactivity.py                      chains of real English: a few minutes on one core
    benchmarks/radioactivity.py --nulls 1000         the size of every weighing, with intervals

English is what comes with Python (``pydoc_data``) or, with ``--texts FOLDER``, JSON lines with a ``prompt``. A teacher
of bigrams writes with and without the mark; students learn bigrams from mixtures. Size: each null is another innocent
student (taught on other unmarked text), another control and another key.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections.abc import Sequence
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from spiritsafe.protect import prf
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.marks.types import Mark
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain, numbered
from spiritsafe.protect.tracing import Code
from spiritsafe.prove.radioactivity import Weighed, Weighing, score, weighed
from spiritsafe.prove.radioactivity_open import open_radioactivity
from spiritsafe.prove.tracing import trace
from spiritsafe.stats import clopper_pearson

WEIGHINGS: tuple[Weighing, ...] = ("once", "counted", "controlled", "foreseen")
LENGTH = 200
MARK = mark("kgw-k1-g0.25-d2")


class Reader:
    """A chain as a model with weights."""

    def __init__(self, chain: Chain, size: int) -> None:
        self._chain, self._size = chain, size
        self._logs = np.log(chain.probabilities()).astype(np.float32)
        self._states = chain.rows[chain.starts[:-1], 0]

    def distributions(self, ids: Sequence[int]) -> np.ndarray:
        out = np.full((len(ids), self._size), -50.0, dtype=np.float32)
        for i, each in enumerate(ids):
            state = int(np.searchsorted(self._states, each))
            if state < self._states.size and self._states[state] == each:
                edges = slice(int(self._chain.starts[state]), int(self._chain.starts[state + 1]))
                out[i, self._chain.rows[edges, 1]] = self._logs[edges]
        return out


def read(weighing: Weighing, text: Words, control: Words, innocent: Chain, under: Mark = MARK) -> Weighed:
    """A text by one weighing, beside what a control wrote or what it foresaw."""
    return weighed(
        under,
        text,
        weighing=weighing,
        control=control if weighing == "controlled" else None,
        chances=innocent.chances(list(text)) if weighing == "foreseen" else None,
    )


def english(folder: Path | None) -> list[Words]:
    if folder is None:
        return numbered([topics[name] for name in sorted(topics)])
    prompts = [
        json.loads(line)["prompt"]
        for path in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().split("\n")[:1500]
        if "prompt" in line
    ]
    return numbered([text for text in prompts if isinstance(text, str)])


def size(teacher: Chain, nulls: int, rng: np.random.Generator) -> None:
    """Innocent students, each with its own text, control and key: how often p falls below each level."""
    print(f"\nsize over {nulls} nulls: rate at the level, with its 95% interval")
    print(f"{'weighing':<12}{'p by':<9}" + "".join(f"{level:>26}" for level in (0.05, 0.01, 0.001)))
    exact: dict[Weighing, list[float]] = {weighing: [] for weighing in WEIGHINGS}
    ranks: dict[Weighing, list[float]] = {weighing: [] for weighing in WEIGHINGS}
    for i in range(nulls):
        key = key_of(rng.bytes(32), MARK.name, i)
        student = Chain.of(teacher.write(100, LENGTH, rng))
        text, other = student.write(30, LENGTH, rng), teacher.write(30, LENGTH, rng)
        for weighing in WEIGHINGS:
            found = score(MARK, key, read(weighing, text, other, teacher), subject="null", need=100, decoys=39, seed=i)
            exact[weighing].append(found.exact.p_value)
            ranks[weighing].append(found.decoys.p_value)
    for weighing in WEIGHINGS:
        for by, ps in (("null", exact[weighing]), ("decoys", ranks[weighing])):
            cells = []
            for level in (0.05, 0.01, 0.001):
                count = sum(p <= level for p in ps)
                low, high = clopper_pearson(count, nulls, 0.95)
                cells.append(f"{count / nulls:.4f} [{low:.4f}, {high:.4f}]" if level == 0.05 or by == "null" else "-")
            print(f"{weighing:<12}{by:<9}" + "".join(f"{cell:>26}" for cell in cells))


def power(teacher: Chain, rows: int, rng: np.random.Generator) -> None:
    """Share of marked data against tokens written, closed; and the open form on 15 windows."""
    key = key_of(rng.bytes(32), MARK.name, 1)
    marked, clean = teacher.marked(MARK, key).write(rows, LENGTH, rng), teacher.write(rows, LENGTH, rng)
    base = Chain.of(teacher.write(rows, LENGTH, rng))
    control = base.write(500, LENGTH, rng)
    vocabulary = int(teacher.rows.max()) + 1
    windows = [row.tolist() for row in teacher.write(15, LENGTH, rng)]
    print(f"\npower, {MARK.name}, students of {rows * LENGTH} tokens: standard deviations (log10 p)")
    print(f"{'marked':>7}{'tokens':>9}" + "".join(f"{name:>20}" for name in (*WEIGHINGS, "open", "open controlled")))
    for share in (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.0):
        count = round(share * rows)
        student = Chain.of([*marked[:count], *clean[: rows - count]])
        reader = Reader(student, vocabulary)
        for texts in (50, 500):
            text = student.write(texts, LENGTH, rng)
            cells = []
            for weighing in WEIGHINGS:
                found = score(MARK, key, read(weighing, text, control[:texts], base), subject="s", decoys=0).exact
                cells.append(_cell(found.statistic, found.because[-1]))
            for other_reader in (None, Reader(base, vocabulary)) if texts == 500 else ():
                found = open_radioactivity(
                    MARK, key, reader, windows, subject="s", controls=[other_reader] if other_reader else [], decoys=0
                ).exact
                cells.append(_cell(found.statistic, found.because[-1]))
            print(f"{share:>7.0%}{texts * LENGTH:>9}" + "".join(f"{cell:>20}" for cell in cells))


def _cell(height: float, said: str) -> str:
    return f"{height:.1f} ({said.split('^')[1].split(' ', maxsplit=1)[0]})"


def attacks(teacher: Chain, rows: int, rng: np.random.Generator) -> None:
    """What remains of the evidence against a student of marked answers after each attempt to hide it."""
    key = key_of(rng.bytes(32), MARK.name, 1)
    marked, clean = teacher.marked(MARK, key).write(rows, LENGTH, rng), teacher.write(rows, LENGTH, rng)
    guilty, base = Chain.of(marked), Chain.of(clean)
    other = Chain.of(teacher.write(rows, LENGTH, rng))
    control = other.write(500, LENGTH, rng)

    def paraphrased(rate: float) -> Chain:
        drawn = rng.permutation(clean.ravel()).reshape(marked.shape)
        return Chain.of(np.where(rng.random(marked.shape) < rate, drawn, marked))

    merged = guilty.blended(base, 0.5)
    students = {
        "none": guilty,
        "mixed: 9 of 10 texts clean": Chain.of([*marked[: rows // 10], *clean[rows // 10 :]]),
        "clean training after: half": merged,
        "clean training after: 9/10": guilty.blended(base, 0.9),
        "one word in 10 replaced": paraphrased(0.1),
        "3 words in 10 replaced": paraphrased(0.3),
        "5 words in 10 replaced": paraphrased(0.5),
        "every text shuffled": Chain.of(rng.permuted(marked, axis=1)),
        "pulled half way to a base model": merged.reweighed(np.sqrt(merged.weights)),
        "framed: an innocent fed a quarter": Chain.of([*clean, *marked[: rows // 3]]),
        "an innocent": base,
    }
    print("\nattacks, closed, 100,000 tokens: standard deviations (log10 p)")
    print(f"{'':<36}" + "".join(f"{name:>20}" for name in WEIGHINGS))
    for name, student in students.items():
        text = student.write(500, LENGTH, rng)
        cells = []
        for weighing in WEIGHINGS:
            found = score(MARK, key, read(weighing, text, control, other), subject="s", decoys=0).exact
            cells.append(_cell(found.statistic, found.because[-1]))
        print(f"{name:<36}" + "".join(f"{cell:>20}" for cell in cells))


def tenants(teacher: Chain, rows: int, rng: np.random.Generator) -> None:
    """Who of 1,000 tenants is named when some fed a student, with and without unmarked text besides."""
    names = [f"tenant {i}" for i in range(1000)]
    control = teacher.write(rows, LENGTH, rng)
    print(
        "\ntracing, 1,000 tenants, false accusations held below 1e-3: named of those that fed the student / innocents"
    )
    print(f"{'code':>6}{'fed by':>8}{'marked':>8}" + "".join(f"{name:>16}" for name in WEIGHINGS))
    for m in (512, 2048):
        found_mark = mark(f"traced-k1-g0.25-d2-m{m}")
        assert isinstance(found_mark, Traced)
        for feeders, clean in ((1, 0.0), (1, 0.9), (3, 0.0), (3, 0.8), (5, 0.5), (10, 0.0)):
            named: dict[Weighing, list[tuple[int, int]]] = {weighing: [] for weighing in WEIGHINGS}
            for _ in range(3):
                code = Code(found_mark, key_of(rng.bytes(32), found_mark.name, 1))
                lanes = prf.lanes(code.key.sip, teacher.rows, found_mark.bits)
                logits = np.log(teacher.weights).astype(np.float32)
                guilty = names[:feeders]
                data = list(teacher.write(round(rows * clean), LENGTH, rng))
                for tenant in guilty:
                    fed = np.exp(found_mark.reweigh_for(logits, lanes, code.word(tenant)).astype(np.float64))
                    data += list(teacher.reweighed(fed).write(round(rows * (1 - clean) / feeders), LENGTH, rng))
                text = Chain.of(data).write(500, LENGTH, rng)
                for weighing in WEIGHINGS:
                    told = read(weighing, text, control, teacher, found_mark)
                    traced = trace(found_mark, code.key, told, names, subject="s", decoys=0)
                    right = len(set(traced.named) & set(guilty))
                    named[weighing].append((right, len(traced.named) - right))
            cells = [
                f"{np.mean([right for right, _ in each]):.1f}/{feeders}, {sum(wrong for _, wrong in each)}"
                for each in named.values()
            ]
            print(f"{m:>6}{feeders:>8}{1 - clean:>8.0%}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nulls", type=int, default=100)
    parser.add_argument("--rows", type=int, default=2000, help="texts of 200 tokens a student learns from")
    parser.add_argument("--texts", type=Path, help="a folder of JSON lines (gzip) with a prompt each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("size", "power", "attacks", "tenants"))
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    texts = english(given.texts)
    teacher = Chain.of(texts)
    print(f"{sum(map(len, texts))} tokens of English, {len(teacher.weights)} distinct bigrams")
    began = time.process_time()
    if given.only in (None, "power"):
        power(teacher, given.rows, rng)
    if given.only in (None, "attacks"):
        attacks(teacher, given.rows, rng)
    if given.only in (None, "tenants"):
        tenants(teacher, given.rows, rng)
    if given.only in (None, "size"):
        size(teacher, given.nulls, rng)
    print(f"\n{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
