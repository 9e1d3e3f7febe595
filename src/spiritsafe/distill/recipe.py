"""A recipe: one YAML that says what is distilled from whom, for what, within which limits.

Each section belongs to one stage of ``distill.stages`` and only that stage reads it, so a change in a
section makes that stage and those after it stale, and none before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from spiritsafe.distill.terms.types import Purpose
from spiritsafe.settings import load

Positive = Annotated[int, msgspec.Meta(gt=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Prompts(msgspec.Struct, frozen=True, kw_only=True):
    """Where prompts come from: a ``file`` (JSON lines, Parquet, or plain text with one prompt a line), or a generator
    (``distill.prompts``) that is to ``generate`` so many (``count``) from a ``seed``.

    ``field`` is the column that holds the prompt and ``answer`` the one that holds a known right answer,
    for verifiers. ``licence`` is an SPDX name; a file without one stops the run unless ``acknowledge``
    names who decided to use it all the same. What is generated is this project's own and needs none.
    """

    file: str | None = None
    generate: Literal["arithmetic", "general", "sums"] | None = None
    count: Positive | None = None
    seed: int = 0
    field: str = "prompt"
    answer: str | None = None
    licence: str | None = None
    acknowledge: str | None = None
    limit: Positive | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.generate is None):
            raise ValueError("prompts take exactly one of file and generate")
        if (self.count is None) != (self.generate is None):
            raise ValueError("count says how many prompts to generate: give it with generate, and with nothing else")

    @property
    def name(self) -> str:
        """The file, or the generator with its seed: what a row's ``source`` says."""
        return self.file if self.file is not None else f"generate:{self.generate}:{self.seed}"


class Teacher(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to learn from. ``source`` is a teacher as ``spiritsafe teach`` takes it; ``terms`` the name to look up
    in the terms registry where it differs from the teacher's own; ``grant`` a signed permission's file, and ``trust``
    the public keys that may speak for the teacher's owner. ``weights`` says, for a teacher that is asked over an API,
    where the same model's weights lie (``hf:``, ``gguf:``, ``smollm2``), if they are at hand.
    """

    source: str
    weights: str | None = None
    terms: str | None = None
    grant: str | None = None
    trust: tuple[str, ...] = ()

    @property
    def weights_source(self) -> str:
        """Where its weights would lie: ``distill.weights`` says whether they do."""
        return self.weights or self.source


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How answers are drawn. ``samples`` answers are asked for each prompt."""

    temperature: Amount = 0.7
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    max_tokens: Positive = 256
    samples: Positive = 1
    seed: int = 0
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    stop: tuple[str, ...] = ()


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What the teacher's provider charges for a million tokens; ``discount`` is what a batch endpoint takes off."""

    prompt_per_million: Amount = 0.0
    completion_per_million: Amount = 0.0
    currency: str = "USD"
    discount: Share = 0.0


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """Where collecting stops for good, whatever is still unasked. None is no limit."""

    money: Amount | None = None
    tokens: Positive | None = None
    requests: Positive | None = None
    hours: Amount | None = None

    def within(self, *, tokens: int | None, requests: int | None) -> Ceiling:
        """This ceiling, lowered to what a grant allows."""
        return Ceiling(
            money=self.money,
            tokens=min((n for n in (self.tokens, tokens) if n is not None), default=None),
            requests=min((n for n in (self.requests, requests) if n is not None), default=None),
            hours=self.hours,
        )


class Collect(msgspec.Struct, frozen=True, kw_only=True):
    """``concurrency`` is the most requests under way; ``batch`` uses the provider's batch endpoint; ``reuse`` are
    records (data folders, or other runs) whose answers to the very same requests are taken before any is paid for.
    """

    system: str | None = None
    sampling: Sampling = Sampling()
    concurrency: Positive = 8
    attempts: Positive = 6
    batch: bool = False
    price: Price = Price()
    ceiling: Ceiling = Ceiling()
    reuse: tuple[str, ...] = ()


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the teacher's distributions are kept, and how: the ``k`` likeliest tokens, or an unbiased sample of at
    most ``rounds`` draws of which about ``distinct`` differ. ``temperature`` must be the one trained at.
    """

    kind: Literal["none", "topk", "sampled"] = "none"
    k: Positive = 64
    rounds: Annotated[int, msgspec.Meta(ge=1, le=64)] = 64
    distinct: Annotated[float, msgspec.Meta(ge=1)] = 11.0
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    seed: int = 0


class Verifier(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is checked: ``number`` and ``exact`` against the known answer, ``code`` by running its tests in
    a sandbox, ``judge`` by a model that is asked (``judge``: a teacher's name).
    """

    kind: Literal["none", "number", "exact", "code", "judge"] = "none"
    judge: str | None = None
    tolerance: Amount = 1e-6
    seconds: Amount = 5.0


class Curate(msgspec.Struct, frozen=True, kw_only=True):
    """Which answers are kept. ``near`` is the MinHash similarity from which two prompts count as one; ``languages``
    the scripts allowed; ``against`` are files of evaluation prompts, decontaminated by common 8-grams.
    """

    exact: bool = True
    near: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = 0.9
    min_chars: int = 1
    max_chars: Positive = 20_000
    complete: bool = True
    scripts: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    ngram: Positive = 8
    verify: Verifier = Verifier()
    keep: Literal["all", "first", "shortest"] = "all"


class Prune(msgspec.Struct, frozen=True, kw_only=True):
    """A student cut out of the teacher: its ``layers`` of highest block influence, or those ``keep`` names."""

    layers: Positive | None = None
    keep: tuple[int, ...] = ()
    vocabulary: Positive | None = None


class Student(msgspec.Struct, frozen=True, kw_only=True):
    """The model that is trained: one of ``model`` (a folder), ``prune`` (of the teacher), ``config`` (a fresh one)."""

    model: str | None = None
    prune: Prune | None = None
    config: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("model", "prune", "config") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a student takes exactly one of model, prune and config, got {given or 'none'}")


class Lora(msgspec.Struct, frozen=True, kw_only=True):
    """Low-rank adapters in place of full training; merged into the weights when sealed."""

    rank: Positive = 16
    alpha: Positive = 32
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Train(msgspec.Struct, frozen=True, kw_only=True):
    """The training loop. ``loss`` is a name of ``distill.losses``; ``sft_weight`` mixes in cross-entropy on the
    answers; ``on_policy`` is the share of batches whose answers the student writes itself; ``precision: auto`` is
    bfloat16 where the device computes in it, else float32; ``processes`` that share each step are started by torchrun,
    and take one device each. The loop ends at the first of ``epochs``, ``steps`` and
    ``minutes``.
    """

    loss: str = "sft"
    sft_weight: Share = 0.0
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    beta: Share = 0.5
    on_policy: Share = 0.0
    align: bool = False
    epochs: Amount = 1.0
    steps: Positive | None = None
    minutes: Amount | None = None
    batch: Positive = 4
    accumulate: Positive = 1
    max_length: Positive = 256
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-4
    warmup: Share = 0.05
    decay: Share = 0.1
    weight_decay: Amount = 0.01
    clip: Amount = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    lora: Lora | None = None
    checkpoint_steps: Positive = 50
    seed: int = 0
    threads: Positive | None = None
    processes: Positive = 1


class Evaluate(msgspec.Struct, frozen=True, kw_only=True):
    """What the student is measured on: ``held_out`` of the prompts (never trained on), with ``draws`` resamplings for
    the interval at ``confidence``. ``tasks`` are lm-eval tasks (the extra ``lm-eval``), those in ``task_folder``
    among them, on ``task_limit`` documents each.
    """

    held_out: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1
    seed: int = 0
    limit: Positive = 64
    max_tokens: Positive = 128
    draws: Positive = 2000
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    tasks: tuple[str, ...] = ()
    task_folder: str | None = None
    task_limit: Positive | None = None


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What is written at the end. ``key`` is the file of an Ed25519 or ECDSA key; without one a fresh
    ECDSA P-256 key signs, and the card says so.
    """

    name: str = "student"
    key: str | None = None
    gguf: bool = True


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """A whole recipe. ``purpose`` is what the student is for, as the terms are checked against (``distill.terms``)."""

    version: Literal[1] = 1
    purpose: Purpose
    teacher: Teacher
    prompts: tuple[Prompts, ...]
    student: Student
    collect: Collect = Collect()
    cache: Cache = Cache()
    curate: Curate = Curate()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    seal: Seal = Seal()

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError("a recipe names at least one source of prompts")
        if self.teacher.weights_source.startswith("openai:"):
            if self.cache.kind == "sampled":
                raise ValueError("an API tells only its likeliest tokens: cache.kind sampled needs a teacher's weights")
            if self.cache.kind == "topk" and not self.collect.sampling.top_logprobs:
                raise ValueError("a cache from an API needs collect.sampling.top_logprobs above 0")


def read_recipe(path: Path) -> Recipe:
    """The recipe in the file at ``path``; raises ``InputError`` or ``ConfigError`` with every problem at once."""
    return load(path, Recipe)
