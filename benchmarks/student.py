"""How fast a student learns: our trainer beside TRL's SFTTrainer and its GKD, per minute of CPU time, same answers.

    spiritsafe distill examples/recipes/smollm2-20-layers.yaml --until train
    python benchmarks/student.py --run runs/smollm2-20-layers             # 4 CPU minutes each
    python benchmarks/student.py --run runs/smollm2-20-layers --minutes 0.5 --every 0.25 --limit 8

`ours` and `trl` learn from the answers alone (SFT), `ours_kd` and `trl_kd` from a live teacher (forward KL; TRL's
experimental GKDTrainer with lmbda 0 and beta 0, its form for answers that are given). All start from the run's
untouched student and see the very same tokens (each row as our recipe encodes it, loss on
the answer alone), at the same batch, constant learning rate, weight decay, clipping, precision and threads; each
in the order of its own sampler, in a process of its own, one after the other. A snapshot is taken at every mark of CPU
time (all threads added up; the snapshot's own time left out) and scored on the held-out answers: nats a token, and the
share of places at which the student's likeliest token is the teacher's. TRL runs in .bench/trl with the versions of
constraints.txt; where it can't be installed that is said, and ours is measured alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".bench" / "trl"
TRL = "trl==1.16.0"
MANY = 10**6


class Clock:
    """CPU time of training alone; takes a snapshot at every mark and says when it is enough."""

    def __init__(self, save: Callable[[Path], None], out: Path, minutes: float, every: float) -> None:
        self._save = save
        self._out = out
        self._marks = [every * i for i in range(1, max(1, round(minutes / every)) + 1)]
        self._began = time.process_time()
        self._beside = 0.0
        self.taken: list[dict[str, Any]] = []

    def step(self, steps: int, tokens: int) -> bool:
        """Called after each step; True when the last mark has been reached."""
        now = time.process_time()
        minutes = (now - self._began - self._beside) / 60
        if len(self.taken) < len(self._marks) and minutes >= self._marks[len(self.taken)]:
            folder = self._out / f"snapshot-{len(self.taken)}"
            self._save(folder)
            self.taken.append({"minutes": minutes, "steps": steps, "tokens": tokens, "folder": str(folder)})
            self._beside += time.process_time() - now
        return len(self.taken) == len(self._marks)


class Enough(Exception):
    """The last snapshot has been taken."""


def ours(a: argparse.Namespace, loss: str = "sft") -> list[dict[str, Any]]:
    import torch

    from spiritsafe.distill.batches import Example
    from spiritsafe.distill.recipe import Train
    from spiritsafe.distill.student import load_model
    from spiritsafe.distill.targets import Live, tokens
    from spiritsafe.distill.train import Progress, train

    torch.set_num_threads(a.threads)
    model = load_model(a.work / "start", torch.float32)
    rows = read(a.work / "train.jsonl")
    examples = [Example(str(i), r["ids"], r["start"], []) for i, r in enumerate(rows)]
    section = Train(
        loss=loss, epochs=MANY, steps=MANY, batch=a.batch, learning_rate=a.rate, warmup=0.0, decay=0.0,
        weight_decay=0.01, clip=1.0, precision=a.precision, checkpoint_steps=MANY, max_length=MANY,
    )  # fmt: skip
    targets = tokens if loss == "sft" else Live(load_model(a.teacher, torch.float32))
    clock = Clock(model.save_pretrained, a.out, a.minutes, a.every)

    def report(now: Progress) -> None:
        if clock.step(now.step, now.tokens):
            raise Enough

    with suppress(Enough):
        train(model, examples, targets, section, a.out / "run", pad=a.pad, report=report)
    return clock.taken


def ours_kd(a: argparse.Namespace) -> list[dict[str, Any]]:
    return ours(a, "forward_kl")


def trl(a: argparse.Namespace, kd: bool = False) -> list[dict[str, Any]]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(a.threads)
    rows = read(a.work / "train.jsonl")
    columns = {
        "input_ids": [r["ids"] for r in rows],
        "completion_mask": [[0] * r["start"] + [1] * (len(r["ids"]) - r["start"]) for r in rows],
    }
    options: dict[str, Any] = {}
    if kd:
        from trl.experimental.gkd import GKDConfig, GKDTrainer

        options = {"lmbda": 0.0, "beta": 0.0, "temperature": 1.0, "seq_kd": False}
    settings = (GKDConfig if kd else SFTConfig)(
        output_dir=str(a.out / "run"), per_device_train_batch_size=a.batch, learning_rate=a.rate, max_steps=MANY,
        lr_scheduler_type="constant", weight_decay=0.01, max_grad_norm=1.0, use_cpu=True,
        bf16=a.precision == "bfloat16", max_length=None,
        packing=False, gradient_checkpointing=False, completion_only_loss=True, save_strategy="no",
        logging_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False, seed=0, **options,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(a.work / "start", dtype=torch.float32, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(a.work / "start", local_files_only=True)
    lengths: list[int] = []

    class Marks(TrainerCallback):
        clock: Clock

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.clock = Clock(model.save_pretrained, a.out, a.minutes, a.every)

        def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
            control.should_training_stop = self.clock.step(state.global_step, sum(lengths))

    marks = Marks()
    more = {}
    if kd:
        more["teacher_model"] = AutoModelForCausalLM.from_pretrained(
            a.teacher, dtype=torch.float32, local_files_only=True
        )
    trainer = (GKDTrainer if kd else SFTTrainer)(
        model=model,
        args=settings,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[marks],
        **more,
    )
    collate = padded(a.pad) if kd else trainer.data_collator

    def counted(features: list[dict[str, Any]]) -> Any:
        lengths.extend(len(f["input_ids"]) for f in features)
        return collate(features)

    trainer.data_collator = counted
    trainer.train()
    return marks.clock.taken


def trl_kd(a: argparse.Namespace) -> list[dict[str, Any]]:
    return trl(a, kd=True)


def padded(pad: int) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """A collator for GKD that takes the very same tokens: its own would write them anew from messages."""
    import torch

    def collate(features: list[dict[str, Any]]) -> dict[str, Any]:
        width = max(len(f["input_ids"]) for f in features)
        short = [width - len(f["input_ids"]) for f in features]
        ids = [f["input_ids"] + [pad] * n for f, n in zip(features, short, strict=True)]
        mask = [[1] * len(f["input_ids"]) + [0] * n for f, n in zip(features, short, strict=True)]
        labels = [
            [i if m else -100 for i, m in zip(f["input_ids"], f["completion_mask"], strict=True)] + [-100] * n
            for f, n in zip(features, short, strict=True)
        ]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), "labels": torch.tensor(labels)}

    return collate


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prepare(run: Path, work: Path, limit: int, max_length: int) -> int:
    """Put the student, and the rows as tokens, where both contenders find them; returns the padding token."""
    from spiritsafe.distill.batches import encode
    from spiritsafe.distill.rows import read_rows
    from spiritsafe.distill.weights import load_tokenizer

    start, curated = run / "train" / "start", run / "curate" / "curated.parquet"
    if not (start / "config.json").exists() or not curated.exists():
        sys.exit(f"{run} holds no run with an untouched student: do the recipe first, --until train")
    (work / "start").symlink_to(start.resolve())
    tokenizer = load_tokenizer(start)
    rows = read_rows(curated)
    for name, part in (
        ("train", [r for r in rows if r.reason is None]),
        ("held", [r for r in rows if r.held_out and r.finish == "stop"][:limit]),
    ):
        coded = [e for r in part if (e := encode(tokenizer, r, max_length))]
        lines = [json.dumps({"ids": e.ids, "start": e.start}) + "\n" for e in coded]
        (work / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        print(f"{name}: {len(coded)} answers, {sum(e.answer for e in coded):,} tokens to foretell")
    return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)


def score(folder: Path, work: Path, pad: int) -> tuple[float, float]:
    """Cross-entropy and agreement on the held-out answers."""
    import torch

    from spiritsafe.distill.batches import Example
    from spiritsafe.distill.score import score as scored
    from spiritsafe.distill.student import load_model
    from spiritsafe.distill.targets import frozen

    examples = [Example(str(i), r["ids"], r["start"], []) for i, r in enumerate(read(work / "held.jsonl"))]
    found = scored(frozen(load_model(folder, torch.float32)), examples, pad)
    return found.cross_entropy, found.agreement


def peer() -> Path | str:
    """The Python that has TRL, or why there is none."""
    python = VENV / "bin" / "python"
    ready = VENV / "ready"
    if ready.exists() and ready.read_text() == TRL:
        return python
    VENV.parent.mkdir(exist_ok=True)
    wanted = [TRL, "torch", "transformers", "safetensors"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), *wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [x for x in (done.stderr or done.stdout).strip().splitlines() if x.startswith("ERROR")]
            return f"{TRL} can't be installed ({lines[-1] if lines else 'no reason given'})"
    ready.write_text(TRL)
    return python


def contend(name: str, python: str, a: argparse.Namespace, work: Path, pad: int) -> list[dict[str, Any]] | str:
    """Run one contender; its snapshots, or why there are none."""
    out = work / name
    out.mkdir()
    command = [python, "-W", "ignore", __file__, "--only", name, "--work", str(work), "--out", str(out)]
    for key in ("minutes", "every", "batch", "rate", "threads", "precision", "teacher"):
        command += [f"--{key}", str(getattr(a, key))]
    done = subprocess.run([*command, "--pad", str(pad)], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(a: argparse.Namespace, work: Path) -> None:
    import torch

    torch.set_num_threads(a.threads)
    pad = prepare(a.run, work, a.limit, a.max_length)
    nats, agreed = score(work / "start", work, pad)
    print(f"\nbatch {a.batch}, learning rate {a.rate:g}, {a.threads} threads, {a.precision}")
    print(
        f"{'':18}{'CPU minutes':>12}{'steps':>8}{'tokens':>10}{'tokens/CPU s':>14}{'nats/token':>12}{'agreement':>11}"
    )
    print(f"{'untouched student':18}{0.0:12.2f}{0:8}{0:10}{'':14}{nats:12.3f}{agreed:11.3f}")
    python = peer() if not a.alone else "left out by --alone"
    contenders = {
        "ours": ("ours, sft", sys.executable),
        "trl": ("TRL SFTTrainer", python),
        "ours_kd": ("ours, forward KL", sys.executable),
        "trl_kd": ("TRL GKD", python),
    }
    for name, (label, interpreter) in contenders.items():
        if name not in a.contenders:
            continue
        if name.startswith("trl") and isinstance(interpreter, str):
            print(f"{label:18}skipped: {interpreter}")
            continue
        taken = contend(name, str(interpreter), a, work, pad)
        if isinstance(taken, str):
            print(f"{label:18}skipped: {taken}")
            continue
        for t in taken:
            nats, agreed = score(Path(t["folder"]), work, pad)
            speed = t["tokens"] / (60 * t["minutes"])
            print(
                f"{label:18}{t['minutes']:12.2f}{t['steps']:8}{t['tokens']:10,}{speed:14.1f}{nats:12.3f}{agreed:11.3f}"
            )


CONTENDERS: dict[str, Callable[[argparse.Namespace], list[dict[str, Any]]]] = {
    "ours": ours, "trl": trl, "ours_kd": ours_kd, "trl_kd": trl_kd,
}  # fmt: skip


def settle(a: argparse.Namespace) -> None:
    """Fill in what the machine decides."""
    import torch

    from spiritsafe.distill.device import precision_on
    from spiritsafe.distill.weights import weights_folder

    a.precision = a.precision or precision_on("auto", torch.device("cpu"))
    a.teacher = a.teacher or weights_folder("smollm2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("runs/smollm2-20-layers"), help="a run that has been trained")
    parser.add_argument("--minutes", type=float, default=4.0, help="CPU minutes that each may train")
    parser.add_argument("--every", type=float, default=1.0, help="CPU minutes between snapshots")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="by default what the device computes in")
    parser.add_argument("--contenders", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--teacher", type=Path, help="folder of the teacher's weights (by default the embedded one's)")
    parser.add_argument("--max-length", type=int, default=320)
    parser.add_argument("--limit", type=int, default=32, help="held-out answers to score on")
    parser.add_argument("--alone", action="store_true", help="without TRL")
    parser.add_argument("--only", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pad", type=int, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.only:
        print(json.dumps(CONTENDERS[a.only](a)))
        return
    settle(a)
    with tempfile.TemporaryDirectory() as work:
        compare(a, Path(work))


if __name__ == "__main__":
    main()
