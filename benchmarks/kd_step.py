"""One step of distillation through the head: ours beside TRL's trainers and Liger's, the same tensors, one run.

    python benchmarks/kd_step.py                       # 1,024 positions, vocabularies 49,152 and 151,936
    python benchmarks/kd_step.py --positions 256 --vocabulary 49152 --threads 1
    python benchmarks/kd_step.py --device cuda --dtype bfloat16 --positions 8192

A step is: loss from the last hidden states of student and teacher, and its gradients to the student's states and
head. What differs between the contenders is that and nothing else. The floor is the four products that none can do
without (two with the student's head for values and states, one for the head's gradient, one with the teacher's head),
run in chunks with nothing between them. Each contender runs in a process of its own; memory is the highest resident
set (or CUDA allocation) of a step over what was held before it, and the same less the gradients, which all must give.
Contenders that are not installed are named and left out: pip install trl==1.16.0 liger-kernel.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

WIDTHS = {49152: 576, 151936: 896}  # SmolLM2-135M; Qwen2.5-0.5B
FLOOR_ROWS = 256


@dataclass
class Batch:
    """``student`` and ``teacher`` (N, H), their heads (V, H), ``labels`` (N,) with every position an answer's."""

    student: Tensor
    head: Tensor
    teacher: Tensor
    teacher_head: Tensor
    labels: Tensor
    beta: float


Step = Callable[[Batch], Tensor]


def make(arguments: argparse.Namespace, vocabulary: int) -> Batch:
    g = torch.Generator().manual_seed(0)
    n, h = arguments.positions, arguments.width or WIDTHS.get(vocabulary, 896)
    to = {"device": arguments.device, "dtype": getattr(torch, arguments.dtype)}

    def states() -> Tensor:
        return torch.randn(n, h, generator=g).to(**to)

    def head() -> Tensor:
        return (2.0 * torch.randn(vocabulary, h, generator=g) / h**0.5).to(**to)

    labels = torch.randint(0, vocabulary, (n,), generator=g).to(arguments.device)
    return Batch(states().requires_grad_(), head().requires_grad_(), states(), head(), labels, arguments.beta)


def ours() -> Step:
    from spiritsafe.distill.losses.chunked import from_head
    from spiritsafe.distill.losses.forward_kl import forward_kl
    from spiritsafe.distill.losses.jsd import jsd
    from spiritsafe.distill.losses.reverse_kl import reverse_kl
    from spiritsafe.distill.losses.types import Head

    def step(b: Batch) -> Tensor:
        teacher, head = from_head(b.teacher, Head(b.teacher_head)), Head(b.head)
        if b.beta == 0.0:
            return forward_kl(b.student, head, teacher).loss
        return (
            reverse_kl(b.student, head, teacher) if b.beta == 1.0 else jsd(b.student, head, teacher, beta=b.beta)
        ).loss

    return step


def trl_distillation() -> Step:
    from trl.trainer.distillation_trainer import _chunked_divergence_loss

    def step(b: Batch) -> Tensor:
        mask = torch.ones(1, len(b.student), dtype=torch.long, device=b.student.device)
        return _chunked_divergence_loss(b.student[None], b.teacher[None], b.head, b.teacher_head, mask, b.beta)[0]

    return step


def trl_gkd() -> Step:
    from trl.experimental.gkd.gkd_trainer import GKDTrainer

    def step(b: Batch) -> Tensor:
        logits = torch.nn.functional.linear(b.student, b.head)[None]
        with torch.no_grad():
            said = torch.nn.functional.linear(b.teacher, b.teacher_head)[None]
        return GKDTrainer.generalized_jsd_loss(logits, said, labels=b.labels[None], beta=b.beta)

    return step


def liger() -> Step:
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    def step(b: Batch) -> Tensor:
        loss = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=b.beta)
        return loss(b.student, b.head, b.teacher, b.teacher_head, b.labels)

    return step


def floor() -> Step:
    def step(b: Batch) -> Tensor:
        student, head = b.student.detach(), b.head.detach()
        n, total = len(student), torch.empty_like(head)
        buffer = student.new_empty(min(n, FLOOR_ROWS), len(head))
        for a in range(0, n, FLOOR_ROWS):
            part = student[a : a + FLOOR_ROWS]
            logits = torch.mm(part, head.T, out=buffer[: len(part)])
            torch.mm(b.teacher[a : a + FLOOR_ROWS], b.teacher_head.T, out=logits)
            torch.mm(logits, head)
            total.addmm_(logits.T, part, beta=float(a > 0))
        return total[0, 0].float().requires_grad_()

    return step


CONTENDERS: dict[str, Callable[[], Step]] = {
    "floor": floor,
    "ours": ours,
    "trl DistillationTrainer": trl_distillation,
    "trl GKD": trl_gkd,
    "liger JSD": liger,
}


def settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def held(device: str, *, peak: bool) -> int:
    """Bytes held now or at most since ``forget_peak``."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() if peak else torch.cuda.memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        name = "VmHWM:" if peak else "VmRSS:"
        return next(int(x.split()[1]) << 10 for x in status.read_text().splitlines() if x.startswith(name))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: bytes, and the peak alone


def forget_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Run one contender: the loss, the seconds of its best step and its memory in bytes."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    step, batch = CONTENDERS[arguments.only](), make(arguments, arguments.vocabulary[0])
    base = held(arguments.device, peak=False)
    forget_peak(arguments.device)
    seconds, loss = [], torch.zeros(())
    for _ in range(arguments.steps + 1):  # the first is the warm-up, and shows the memory
        batch.student.grad = batch.head.grad = None
        settle(arguments.device)
        clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
        start = clock()
        loss = step(batch)
        loss.backward()
        settle(arguments.device)
        seconds.append(clock() - start)
    gradients = sum(x.grad.nbytes for x in (batch.student, batch.head) if x.grad is not None)
    extra = held(arguments.device, peak=True) - base
    return {"loss": loss.item(), "seconds": min(seconds[1:]), "extra": extra, "beside_gradients": extra - gradients}


def run(arguments: argparse.Namespace, name: str, vocabulary: int) -> dict[str, float] | str:
    """One contender in its own process: what it measured, or why there is nothing."""
    command = [sys.executable, "-W", "ignore", __file__, "--only", name, "--vocabulary", str(vocabulary)]
    for key in ("positions", "width", "threads", "steps", "device", "dtype", "beta", "clock"):
        if getattr(arguments, key) is not None:
            command += [f"--{key}", str(getattr(arguments, key))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(arguments: argparse.Namespace, vocabulary: int) -> None:
    width = arguments.width or WIDTHS.get(vocabulary, 896)
    results = {name: run(arguments, name, vocabulary) for name in CONTENDERS}
    bottom, mine = results["floor"], results["ours"]
    if isinstance(bottom, str) or isinstance(mine, str):
        sys.exit(f"{bottom if isinstance(bottom, str) else mine}")
    flops = 8.0 * arguments.positions * vocabulary * width
    print(f"\nvocabulary {vocabulary:,}, width {width}, {arguments.positions:,} positions, {arguments.dtype} on "
          f"{arguments.device}, beta {arguments.beta}; floor {bottom['seconds']:.3f} s "
          f"({flops / bottom['seconds'] / 1e9:,.0f} GFLOP/s)")  # fmt: skip
    print(f"{'':26}{'seconds':>9}{'/ floor':>9}{'/ ours':>9}{'extra MiB':>11}{'less grads':>12}{'/ ours':>9}   loss")
    for name, r in results.items():
        if name == "floor":
            continue
        if isinstance(r, str):
            print(f"{name:26}skipped: {r}")
            continue
        ratios = r["seconds"] / bottom["seconds"], r["seconds"] / mine["seconds"]
        extra, beside = r["extra"] / 2**20, r["beside_gradients"] / 2**20
        print(f"{name:26}{r['seconds']:9.3f}{ratios[0]:9.2f}{ratios[1]:9.2f}{extra:11,.0f}{beside:12,.0f}"
              f"{r['beside_gradients'] / mine['beside_gradients']:9.2f}   {r['loss']:.6f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positions", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[49152, 151936])
    parser.add_argument("--width", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--beta", type=float, default=0.5, help="0 forward KL, 1 reverse KL, between JSD")
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: on a machine that others use too"
    )
    parser.add_argument("--only", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments)))
        return
    for vocabulary in arguments.vocabulary:
        report(arguments, vocabulary)


if __name__ == "__main__":
    main()
