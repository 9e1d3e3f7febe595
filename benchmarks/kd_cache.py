"""What a cached teacher costs and how wrong it is: bytes a token, bias and noise of the gradient, speed.

    python benchmarks/kd_cache.py                         # heavy-tailed synthetic teachers
    python benchmarks/kd_cache.py --model FOLDER          # and a real one, on a text of its own

Bias is what stays wrong however much one trains: the gradient to the head, averaged over many draws of the cache,
against that of the full forward KL, relative to its length. Noise is how far one draw is off; it averages out over
steps and positions. Both are taken for students at three stages: fresh (uniform), half way, and late: right about the
teacher's likeliest 8 tokens, wrong about how the rest is split. Schemes: the likeliest k tokens taken for all there is
(renormalise), the same with the rest as one event (bucket), independent draws (random-sampling KD as published, about
12 distinct ids), and systematic draws (ours) at most 11 distinct a position, or calibrated to 40 bytes on average.
Bytes are those on disk, keys, lengths and digests counted in, answers of 256 tokens after 64 of prompt.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from spiritsafe.distill.cache.draw import distinct_for, likeliest, systematic
from spiritsafe.distill.cache.pack import Sample
from spiritsafe.distill.cache.reader import CacheReader
from spiritsafe.distill.cache.types import Spec
from spiritsafe.distill.cache.writer import CacheWriter

ANSWER, PROMPT = 256, 64
WIDTH = 32  # of the hidden states that the gradient to the head is taken with


class Row(NamedTuple):
    key: str
    ids: list[int]
    start: int


@dataclass
class Case:
    """``teacher`` logits (N, V), ``hidden`` (N, WIDTH), and the ``students``' logits (N, V) by stage."""

    name: str
    teacher: Tensor
    hidden: Tensor
    students: dict[str, Tensor]


def zipf(name: str, vocabulary: int, positions: int, exponent: float, peak: float) -> Case:
    """A teacher whose i-th likeliest token has a probability falling as i ** -exponent, the first raised by
    ``peak`` nats at every other position, and a student that has learnt part of it.
    """
    g = torch.Generator().manual_seed(0)
    base = -exponent * torch.arange(1, vocabulary + 1).log()
    teacher = torch.empty(positions, vocabulary)
    for i in range(positions):
        order = torch.randperm(vocabulary, generator=g)
        row = base + 0.5 * torch.randn(vocabulary, generator=g)
        row[0] += peak * (i % 2)
        teacher[i, order] = row
    return Case(name, teacher, torch.randn(positions, WIDTH, generator=g), students(teacher, g))


def students(teacher: Tensor, g: torch.Generator) -> dict[str, Tensor]:
    noise = torch.randn(teacher.shape, generator=g)
    late = teacher.log_softmax(-1)
    top = late.topk(8, -1)
    rest = late.scatter(1, top.indices, -torch.inf)
    split = (rest + 2.0 * noise).log_softmax(-1) + rest.logsumexp(-1, keepdim=True)
    late = split.scatter(1, top.indices, top.values)
    return {"fresh": torch.zeros_like(teacher), "half way": 0.7 * teacher + 0.7 * noise, "late": late}


def real(folder: str, positions: int) -> Case:
    """A model's own distributions on a text of plain sentences."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    text = " ".join(f"The {a} of a {b} is {c}." for a in ("size", "price", "colour", "name") for b in
                    ("house", "river", "prime number", "song", "small town in France") for c in
                    ("hard to guess", "known to few", "written on the wall", "larger than one thinks"))  # fmt: skip
    ids = tokenizer(text, return_tensors="pt")["input_ids"][:, :positions]
    with torch.no_grad():
        out = model(ids, output_hidden_states=True)
    hidden = out.hidden_states[-1][0].float()[:, :WIDTH]
    teacher = out.logits[0].float()
    return Case(Path(folder).name, teacher, hidden / hidden.std(), students(teacher, torch.Generator().manual_seed(0)))


def gradient(case: Case, q: Tensor, target: Tensor) -> Tensor:
    """The gradient to the head (V, WIDTH) of a loss whose gradient to the logits is q - target, over N."""
    return (q - target).T @ case.hidden / len(case.hidden)


def dense(sample: Sample, vocabulary: int) -> Tensor:
    out = torch.zeros(len(sample.lengths), vocabulary)
    row = np.repeat(np.arange(len(sample.lengths)), sample.lengths)
    out[row, torch.from_numpy(sample.ids)] = torch.from_numpy(sample.counts / sample.rounds[row]).float()
    return out


def topk_target(case: Case, q: Tensor, k: int, *, bucket: bool) -> Tensor:
    p = case.teacher.softmax(-1)
    kept = torch.zeros_like(p).scatter_(1, p.topk(k, -1).indices, 1.0).bool()
    head = torch.where(kept, p, 0.0)
    if not bucket:
        return head / head.sum(-1, keepdim=True)
    tail = torch.where(kept, 0.0, q)
    return head + (1.0 - head.sum(-1, keepdim=True)) * tail / tail.sum(-1, keepdim=True)


def independent(case: Case, rounds: int, rng: np.random.Generator) -> Sample:
    """``rounds`` independent draws a position: a token drawn c times has weight c / rounds."""
    edge = case.teacher.double().softmax(-1).cumsum(-1)
    points = torch.from_numpy(rng.random((len(edge), rounds))).sort(-1).values * edge[:, -1:]
    hit = torch.searchsorted(edge, points).clamp(max=edge.shape[1] - 1).numpy()
    lengths, ids, counts = [], [], []
    for row in hit:
        found, times = np.unique(row, return_counts=True)
        lengths.append(len(found))
        ids.append(found)
        counts.append(times)
    n = np.full(len(hit), rounds)
    return Sample(np.array(lengths), n, np.zeros(len(hit), np.float32), np.concatenate(ids), np.concatenate(counts))


def ours(case: Case, distinct: float, rng: np.random.Generator) -> Sample:
    return systematic(case.teacher, rng.random(len(case.teacher)), temperature=1.0, rounds=64, distinct=distinct)


def on_disk(case: Case, spec: Spec, sample: Sample | None) -> float:
    """Bytes a position of a cache that holds the case, written a hundred rows long so that its frame does not show."""
    with tempfile.TemporaryDirectory() as folder:
        writer = CacheWriter(Path(folder) / "c", spec)
        at, positions = 0, len(case.teacher)
        starts = np.concatenate([[0], np.cumsum(sample.lengths)]) if sample else np.zeros(0, np.int64)
        for i in range(100):
            span = np.arange(at, at + ANSWER) % positions
            row = Row(f"{i:032x}:0", [0] * (PROMPT + ANSWER), PROMPT)
            if sample is None:
                writer.add_logits(row, case.teacher[span])
            else:
                flat = np.concatenate([np.arange(starts[j], starts[j + 1]) for j in span])
                part = sample.lengths[span], sample.rounds[span], sample.entropy[span], sample.ids[flat]
                writer.add_sample(row, Sample(*part, sample.counts[flat]))
            at += ANSWER
        return writer.close().bytes_per_position


class Scheme(NamedTuple):
    """``draw(q, rng)`` gives a target (N, V) for a student of distribution ``q``."""

    name: str
    draw: Callable[[Tensor, np.random.Generator], Tensor]
    bytes: float
    random: bool


def schemes(case: Case) -> Iterator[Scheme]:
    vocabulary = case.teacher.shape[1]
    base = {"teacher": case.name, "tokenizer": "", "vocabulary": vocabulary}
    for k in (8, 64):
        size = on_disk(case, Spec(kind="topk", k=k, **base), None)
        yield Scheme(f"top-{k} renormalise", lambda q, _, k=k: topk_target(case, q, k, bucket=False), size, False)
        yield Scheme(f"top-{k} bucket", lambda q, _, k=k: topk_target(case, q, k, bucket=True), size, False)
    rng = np.random.default_rng(1)
    rounds = next((n for n in range(64, 0, -2) if independent(case, n, rng).lengths.mean() <= 12), 1)
    size = on_disk(case, Spec(kind="sampled", **base), independent(case, rounds, rng))
    name = f"independent, {rounds} draws"
    yield Scheme(name, lambda _, r: dense(independent(case, rounds, r), vocabulary), size, True)
    wide = distinct_for(case.teacher, 39.0, temperature=1.0, rounds=64, entry=3)
    for distinct in (11.0, wide):
        size = on_disk(case, Spec(kind="sampled", **base), ours(case, distinct, rng))
        name = f"systematic, to {distinct:g} distinct"
        yield Scheme(name, lambda _, r, d=distinct: dense(ours(case, d, r), vocabulary), size, True)


def report(case: Case, draws: int) -> None:
    p = case.teacher.softmax(-1)
    entropy = float(torch.special.entr(p).sum(-1).mean())
    print(f"\n{case.name}: {len(p):,} positions, vocabulary {p.shape[1]:,}, teacher's entropy {entropy:.2f} nats, "
          f"outside its top 8 {float(1 - p.topk(8, -1).values.sum(-1).mean()):.1%}, "
          f"its top 64 {float(1 - p.topk(64, -1).values.sum(-1).mean()):.1%}")  # fmt: skip
    print(f"{'':31}{'bytes':>6}" + "".join(f"{name + ': bias':>18}{'noise':>8}" for name in case.students))
    for scheme in schemes(case):
        line = f"{scheme.name:31}{scheme.bytes:6.1f}"
        for student in case.students.values():
            bias, error, noise = wrong(case, student.softmax(-1), p, scheme, draws)
            line += f"{bias:10.3f} +-{error:5.3f}{noise:8.3f}"
        print(line)


def wrong(case: Case, q: Tensor, p: Tensor, scheme: Scheme, draws: int) -> tuple[float, float, float]:
    """(bias, its error from so many draws, noise of one draw), relative to the full gradient's length."""
    full, rng = gradient(case, q, p), np.random.default_rng(0)
    mean, noise, n = torch.zeros_like(full), 0.0, draws if scheme.random else 1
    for _ in range(n):
        off = gradient(case, q, scheme.draw(q, rng)) - full
        mean += off / n
        noise += float(off.norm()) / n
    length = float(full.norm())
    noise = noise / length if scheme.random else 0.0
    error = noise / n**0.5  # the mean of n unbiased draws is off by this much: taken out of the bias that is shown
    return max(0.0, (float(mean.norm()) / length) ** 2 - error**2) ** 0.5, error, noise


def speed(vocabulary: int, rows: int) -> None:
    """How fast a cache is written from logits and read in batches of 8 answers, on this machine."""
    g = torch.Generator().manual_seed(0)
    logits = -1.2 * torch.arange(1, vocabulary + 1).log() + torch.randn(ANSWER, vocabulary, generator=g)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        spec = Spec(kind="sampled", teacher="t", tokenizer="d", vocabulary=vocabulary)
        writer = CacheWriter(Path(folder), spec)
        start = time.perf_counter()
        drawn = systematic(logits, rng.random(ANSWER), temperature=1.0, rounds=64, distinct=11.0)
        drawing = time.perf_counter() - start
        items = [Row(f"{i:032x}:0", rng.integers(0, vocabulary, PROMPT + ANSWER).tolist(), PROMPT) for i in range(rows)]
        for row in items:
            writer.add_sample(row, drawn)
        manifest = writer.close()
        reader = CacheReader(Path(folder), tokenizer="d", vocabulary=vocabulary, temperature=1.0)
        start = time.perf_counter()
        for a in range(0, rows, 8):
            reader.sampled([items[int(i)] for i in rng.integers(0, rows, 8)] if a else items[:8])
        reading = time.perf_counter() - start
    top = time.perf_counter()
    likeliest(logits, temperature=1.0, k=64)
    top = time.perf_counter() - top
    rates = ANSWER / drawing, ANSWER / top, rows * ANSWER / reading
    print(f"\nvocabulary {vocabulary:,}, tokens/s: drawn {rates[0]:,.0f} (top-64 {rates[1]:,.0f}), "
          f"read {rates[2]:,.0f}; {manifest.bytes_per_position:.1f} bytes a token")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--draws", type=int, default=32, help="of a random cache, for bias and noise")
    parser.add_argument("--rows", type=int, default=2000, help="answers in the cache whose reading is timed")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--model", help="a folder with a causal language model")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.model:
        report(real(arguments.model, arguments.positions), arguments.draws)
    report(zipf("Zipf 1.0, half the positions sure", 49_152, arguments.positions, 1.0, 6.0), arguments.draws)
    report(zipf("Zipf 1.3, half the positions sure", 49_152, arguments.positions, 1.3, 6.0), arguments.draws)
    for vocabulary in (49_152, 151_936):
        speed(vocabulary, arguments.rows)


if __name__ == "__main__":
    main()
