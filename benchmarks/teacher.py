"""Tokens a second of the embedded teacher, beside transformers' own ``generate`` on the same prompts in the same run.

    python benchmarks/teacher.py                          # batches of 1, 8 and 32, one thread
    python benchmarks/teacher.py --times 8 --batches 16   # longer prompts

Decoding alone is timed, step by step, once every row is being decoded; the rate is that of the median
step. With one thread the clock is the process's CPU time: tokens a second of one core of our own,
whatever else the machine does. With more it is the wall's, for threads that wait spin.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise

import torch
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

from spiritsafe.teach import open_teacher
from spiritsafe.teach.cache import converted
from spiritsafe.teach.embedded import SHA256, find
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Context, Options, Raw, Sampling, Stage

TEXT = "The still makes the spirit, and what leaves the still runs through the safe before anyone may touch it. " * 2
Clock = Callable[[], float]


class Watch:
    """A mark that keeps every answer going and notes when each token is drawn while all rows draw.

    ``times[begin:end]`` are the draws after the last row has started and before the first one has ended.
    """

    stage: Stage = "logits"

    def __init__(self, end_token: int, length: int, clock: Clock) -> None:
        self._end_token, self._length, self._clock = end_token, length, clock
        self.begin, self.end = 0, 0
        self.times: list[float] = []

    def __call__(self, logits: torch.Tensor, context: Context) -> torch.Tensor:
        if not context.generated:
            self.begin = len(self.times)
        if not self.end and len(context.generated) == self._length - 1:
            self.end = len(self.times)
        self.times.append(self._clock())
        logits[self._end_token] = float("-inf")
        return logits


class Steps(LogitsProcessor):
    """The same for ``generate``: called once a step."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.times.append(self._clock())
        return scores


def ours(teacher: LocalTeacher, text: str, batch: int, tokens: int, temperature: float, clock: Clock) -> list[float]:
    """Seconds of each step in which all rows drew a token."""
    assert teacher.tokenizer is not None
    # The first rows go on while the last are still being fed: long enough that all draw together for a while.
    length = tokens + batch * -(-len(teacher.tokenizer.encode(text)) // 256) + 1
    watch = Watch(teacher.tokenizer.eos_token_id or 0, length, clock)
    teacher.generate(
        [Raw(text)] * batch, Sampling(temperature=temperature, top_p=0.9, max_tokens=length, seed=1), marks=[watch]
    )
    return [after - before for before, after in pairwise(watch.times[watch.begin : watch.end : batch])]


def generate(model: torch.nn.Module, ids: list[int], batch: int, tokens: int, clock: Clock) -> list[float]:
    """Seconds of each step after the first."""
    steps, rows = Steps(clock), torch.tensor([ids] * batch)
    model.generate(  # type: ignore[operator]
        rows,
        attention_mask=torch.ones_like(rows),
        do_sample=False,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        pad_token_id=0,
        logits_processor=LogitsProcessorList([steps]),
    )
    return [after - before for before, after in pairwise(steps.times)]


def main() -> None:
    """Print a table: one line a batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=16, help="tokens a row that are timed")
    parser.add_argument("--times", type=int, default=1, help="how often the prompt's text is repeated")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--dtype", choices=["auto", "bfloat16", "float32"], default="auto")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.process_time if given.threads == 1 else time.perf_counter
    text = TEXT * given.times
    with closing(open_teacher("smollm2", Options(threads=given.threads, device="cpu", dtype=given.dtype))) as teacher:
        assert isinstance(teacher, LocalTeacher)
        assert teacher.tokenizer is not None
        ids, dtype = teacher.tokenizer.encode(text), teacher.dtype
        plain = AutoModelForCausalLM.from_pretrained(converted(find(), SHA256), dtype=dtype).eval()
        print(f"smollm2, {str(dtype).removeprefix('torch.')}, {given.threads} thread(s), prompts of {len(ids)} tokens")
        print(f"{'batch':>5} {'ours':>8} {'sampled':>8} {'generate':>9} {'ours / generate':>16}   (tokens/s)")
        for batch in given.batches:
            steps = (
                ours(teacher, text, batch, given.tokens, 0.0, clock),
                ours(teacher, text, batch, given.tokens, 0.7, clock),
                generate(plain, ids, batch, given.tokens, clock),
            )
            greedy, sampled, theirs = (batch / statistics.median(each) for each in steps)
            print(f"{batch:>5} {greedy:>8.1f} {sampled:>8.1f} {theirs:>9.1f} {greedy / theirs:>16.2f}", flush=True)


if __name__ == "__main__":
    main()
