"""What a mark costs the text: perplexity and right answers with each mark and without, by the embedded teacher.

Perplexity is that of the drawn tokens under the teacher itself, before temperature and mark: what a mark makes it say
that it would not have said. Task accuracy: beginners' sums, checked by ``distill.verifiers.Number``. ``none`` comes
twice with other seeds: two rows that differ by chance alone. The last column finds the mark in the same answers.
"""

from __future__ import annotations

import argparse
import math
import time
from contextlib import closing

import numpy as np

from spiritsafe.distill.prompts import generate
from spiritsafe.distill.verifiers import Number
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.detect import TooFewTokens, detect, encode
from spiritsafe.protect.marks.marker import KeyMarker
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.tracing import TracingMarker
from spiritsafe.stats import clopper_pearson
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Answer, Options, Sampling, Teacher

MARKS = (
    *("none", "none", "kgw-k1-g0.25-d1", "kgw-k1-g0.25-d2", "kgw-k1-g0.25-d4", "kgw-k2-g0.25-d2"),
    *("gumbel-k2", "tournament-m30-k2", "traced-k1-g0.25-d2-m1024", "choice-n4-k2"),
)
KEY = key_of(b"a key for the quality of marks..", "bench", 1)


def marked(teacher: Teacher, name: str) -> Teacher:
    if name == "none":
        return teacher
    found = mark(name)
    marker = TracingMarker(found, KEY) if isinstance(found, Traced) else KeyMarker(found, KEY)
    return marker.of(teacher, "a tenant")


def perplexity(answers: list[Answer]) -> tuple[float, float]:
    """The perplexity, and the factor of its 95% interval, by answers."""
    means = [np.mean([token.logprob for token in answer.tokens]) for answer in answers if answer.tokens]
    nats = -np.array(means, dtype=np.float64)
    return float(np.exp(nats.mean())), float(np.exp(1.96 * nats.std() / math.sqrt(nats.size)))


def found_in(name: str, answers: list[Answer], teacher: Teacher) -> str:
    if name == "none":
        return "-"
    each = mark(name)
    try:
        texts = encode(each, [answer.text for answer in answers], teacher.tokenizer)
        result = detect(each, KEY, texts, subject=name, decoys=0).exact
    except TooFewTokens as error:
        return f"{error.have} of {error.need} n-grams"
    return f"{result.statistic:.1f} sd, {result.because[-1].split(' by')[0]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--sums", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=120, help="the longest answer")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--marks", nargs="*", default=MARKS)
    given = parser.parse_args()
    general = [item.text for item in generate("general", given.prompts, 0)]
    sums = generate("sums", given.sums, 0)
    verify, seed = Number(), 0
    print(f"{given.prompts} general prompts, {given.sums} sums, temperature {given.temperature}", flush=True)
    print(f"{'mark':<26}{'perplexity':>18}{'sums right':>24}{'CPU s':>8}  found in the answers", flush=True)
    with closing(open_teacher("smollm2", Options(threads=given.threads))) as teacher:
        for name in given.marks:
            seed += 1
            began = time.process_time()
            asked = marked(teacher, name)
            long = Sampling(temperature=given.temperature, max_tokens=given.tokens, seed=seed, logprobs=0)
            answers = [each[0] for each in asked.generate(general, long)]
            short = Sampling(temperature=given.temperature, max_tokens=48, seed=seed)
            said = [each[0].text for each in asked.generate([item.text for item in sums], short)]
            right = sum(verify(item.text, text, item.answer or "").right for item, text in zip(sums, said, strict=True))
            low, high = clopper_pearson(right, len(sums), 0.95)
            value, factor = perplexity(answers)
            print(
                f"{name:<26}{f'{value:.2f} (x/ {factor:.2f})':>18}"
                f"{f'{right / len(sums):.2f} [{low:.2f}, {high:.2f}]':>24}{time.process_time() - began:>8.0f}"
                f"  {found_in(name, answers, teacher)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
