"""Tokens a second of the embedded teacher, beside transformers' own ``generate`` on the same prompts in the same run.

Decoding alone is timed: a long run less a short one, so that reading the prompts cancels out. Each
number is the best of ``--repeats``, taken in turns, since other work on the machine only ever slows.
With one thread the clock is the process's CPU time: tokens a second of one core that is ours alone,
whatever else the machine does. With more it is the wall's, for threads that wait spin.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import closing

import torch
from transformers import AutoModelForCausalLM

from spiritsafe.teach import open_teacher
from spiritsafe.teach.cache import converted
from spiritsafe.teach.embedded import SHA256, find
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Context, Options, Raw, Sampling, Stage

SHORT = 4
TEXT = "The still makes the spirit, and what leaves the still runs through the safe before anyone may touch it. " * 2


class NoEnd:
    """Keeps every answer going, so that both sides draw the same number of tokens."""

    stage: Stage = "logits"

    def __init__(self, end: int) -> None:
        self._end = end

    def __call__(self, logits: torch.Tensor, context: Context) -> torch.Tensor:
        logits[self._end] = float("-inf")
        return logits


def main() -> None:
    """Print a table: one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=20, help="tokens a row in the long run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--dtype", choices=["auto", "bfloat16", "float32"], default="auto")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    options = Options(threads=given.threads, device="cpu", dtype=given.dtype)
    with closing(open_teacher("smollm2", options)) as teacher:
        assert isinstance(teacher, LocalTeacher)
        assert teacher.tokenizer is not None
        dtype = teacher.dtype
        plain = AutoModelForCausalLM.from_pretrained(converted(find(), SHA256), dtype=dtype).eval()
        ids = teacher.tokenizer.encode(TEXT)
        end = teacher.tokenizer.eos_token_id or 0
        print(f"smollm2, {str(dtype).removeprefix('torch.')}, {given.threads} thread(s), prompts of {len(ids)} tokens")
        print(f"{'batch':>5} {'ours':>8} {'sampled':>8} {'generate':>9} {'ours / generate':>16}   (tokens/s)")
        for batch in given.batches:

            def ours(tokens: int, batch: int = batch, temperature: float = 0.0) -> None:
                sampling = Sampling(temperature=temperature, top_p=0.9, max_tokens=tokens, seed=1)
                answers = teacher.generate([Raw(TEXT)] * batch, sampling, marks=[NoEnd(end)])
                assert all(answer.completion_tokens == tokens for (answer,) in answers)

            def sampled(tokens: int, batch: int = batch) -> None:
                ours(tokens, batch, 0.7)

            def generate(tokens: int, batch: int = batch) -> None:
                rows = torch.tensor([ids] * batch)
                plain.generate(
                    rows,
                    attention_mask=torch.ones_like(rows),
                    do_sample=False,
                    min_new_tokens=tokens,
                    max_new_tokens=tokens,
                    pad_token_id=end,
                )

            clock = time.process_time if given.threads == 1 else time.perf_counter
            rates = [batch * rate for rate in _rates([ours, sampled, generate], given.tokens, given.repeats, clock)]
            print(
                f"{batch:>5} {rates[0]:>8.1f} {rates[1]:>8.1f} {rates[2]:>9.1f} {rates[0] / rates[2]:>16.2f}",
                flush=True,
            )


def _rates(runs: list[Callable[[int], None]], tokens: int, repeats: int, clock: Callable[[], float]) -> list[float]:
    """Tokens a second and row that each run decodes."""
    best = [{length: float("inf") for length in (SHORT, tokens)} for _ in runs]
    for _ in range(repeats):
        for times, run in zip(best, runs, strict=True):
            for length in (SHORT, tokens):
                begin = clock()
                run(length)
                times[length] = min(times[length], clock() - begin)
    return [(tokens - SHORT) / (times[tokens] - times[SHORT]) for times in best]


if __name__ == "__main__":
    main()
