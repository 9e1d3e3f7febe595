"""What a thief gets under each measure: prompts, and the embedded teacher's answers to them, drawn once and kept."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.marker import KeyMarker
from spiritsafe.protect.marks.registry import mark
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Options, Prompt, Sampling, Teacher

PROMPTS = Path(__file__).resolve().parents[3] / "shared" / "traffic" / "prompts"
QUESTIONS = ("nq_open", "self_instruct_seeds")
LONGEST_PROMPT = 140
CHUNK = 64

KGW, GUMBEL, CHOICE = "kgw-k1-g0.25-d2", "gumbel-k2", "choice-n3-k2"
STEPWISE = "\nThink step by step, then give the answer after the words: The answer is"


class Sizes(NamedTuple):
    """How much of everything there is; part of what the cache's files are named by."""

    prompts: int
    held: int
    tokens: int
    problems: int
    problem_tokens: int
    temperature: float
    layers: int
    epochs: float
    seed: int


SIZES = Sizes(256, 64, 40, 64, 96, 0.7, 20, 1.0, 1)


class Drawn(msgspec.Struct, frozen=True):
    """One answer: ``nats`` is its tokens' negative log-probability under the teacher, before temperature and mark."""

    text: str
    ids: tuple[int, ...]
    nats: float
    finish: str


class Lesson(msgspec.Struct, frozen=True):
    """A prompt with the answers drawn to it, and the CPU seconds that all of them took."""

    prompt: str
    answers: tuple[Drawn, ...]
    seconds: float


def bench_key(name: str) -> MarkKey:
    """The key that a mark of this benchmark is drawn and read with."""
    return key_of(hashlib.sha256(b"what it is worth: " + name.encode()).digest(), name, 1)


def questions(sizes: Sizes) -> tuple[list[str], list[str]]:
    """Prompts to harvest and prompts held out, the same every time; read from where they lie and never copied."""
    found: set[str] = set()
    for name in QUESTIONS:
        found.update(p for p in _texts(name) if 20 <= len(p) <= LONGEST_PROMPT)
    order = sorted(found, key=lambda p: hashlib.sha256(f"{sizes.seed}:{p}".encode()).digest())
    return order[: sizes.prompts], order[len(order) - sizes.held :]


def problems(sizes: Sizes) -> list[str]:
    """Problems that want some steps."""
    fit = [p for p in _texts("gsm8k_train") if len(p) <= 200]
    return sorted(fit, key=lambda p: hashlib.sha256(f"{sizes.seed}:{p}".encode()).digest())[: sizes.problems]


def _texts(name: str) -> list[str]:
    return [str(row["prompt"]).strip() for row in rows(name)]


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of one file of prompts. Ends the run, saying why, where it is not here."""
    path = PROMPTS / f"{name}.jsonl.gz"
    if not path.exists():
        print(f"skipped: {path} is not here, and this benchmark reads its prompts from there")
        sys.exit(0)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def drawing(sizes: Sizes, n: int, seed: int) -> Sampling:
    """How the teacher answers."""
    return Sampling(temperature=sizes.temperature, max_tokens=sizes.tokens, n=n, seed=seed, logprobs=0)


def stepwise(folder: Path, sizes: Sizes) -> list[Lesson]:
    """Problems answered step by step."""
    asked = [problem + STEPWISE for problem in problems(sizes)]
    sampling = msgspec.structs.replace(drawing(sizes, 1, 5), max_tokens=sizes.problem_tokens)
    return harvested(folder, "stepwise", asked, sampling)


def parted(text: str) -> tuple[str, str]:
    """A step-by-step answer's steps and its conclusion: from the words that announce it, else the last sentence."""
    at = text.rfind("The answer is")
    if at < 0:
        at = max(text.rstrip().rfind("\n"), text.rstrip().rfind(". ") + 1)
    return text[:at].strip(), text[max(at, 0) :].strip()


def harvested(folder: Path, name: str, prompts: Sequence[str], sampling: Sampling, marked: str = "") -> list[Lesson]:
    """The teacher's answers to ``prompts``, kept in ``folder``; what is there already is not drawn again."""
    path = folder / "harvests" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    have = read_lessons(path)
    if len(have) < len(prompts):
        with closing(open_teacher("smollm2", Options(threads=1, batch=64))) as opened, path.open("ab") as out:
            teacher: Teacher = opened
            if marked:
                teacher = KeyMarker(mark(marked), bench_key(marked)).of(opened, None)
            for start in range(len(have), len(prompts), CHUNK):
                part = prompts[start : start + CHUNK]
                for lesson in _drawn(teacher, part, sampling, start):
                    out.write(msgspec.json.encode(lesson) + b"\n")
                out.flush()
                print(f"  {name}: {start + len(part)} of {len(prompts)}", flush=True)
        have = read_lessons(path)
    return have[: len(prompts)]


def read_lessons(path: Path) -> list[Lesson]:
    """What is kept; a last line that was cut short is taken off the file."""
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    if len(whole) < len(lines):
        path.write_bytes(b"".join(whole))
    return [msgspec.json.decode(line, type=Lesson) for line in whole]


def _drawn(teacher: Teacher, prompts: Sequence[Prompt], sampling: Sampling, start: int) -> list[Lesson]:
    began = time.process_time()
    each = [
        msgspec.structs.replace(sampling, seed=(sampling.seed or 0) * 1_000_003 + start + at)
        for at in range(len(prompts))
    ]
    answers = teacher.generate(prompts, each)
    seconds = (time.process_time() - began) / len(prompts)
    return [
        Lesson(
            str(prompt),
            tuple(
                Drawn(
                    one.text,
                    tuple(token.id for token in one.tokens if token.id is not None),
                    -sum(token.logprob or 0.0 for token in one.tokens),
                    one.finish,
                )
                for one in several
            ),
            seconds,
        )
        for prompt, several in zip(prompts, answers, strict=True)
    ]


def coins(sizes: Sizes) -> list[int]:
    """Which of the two twins is served."""
    dice = Random(f"coins:{sizes.seed}")
    return [dice.randrange(2) for _ in range(sizes.prompts)]
