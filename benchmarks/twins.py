"""What the test of twins can and can't tell: size, and power against pairs, share, epochs, paraphrase and access.

    python benchmarks/twins.py size       # 1,000 nulls each, students of counts on real English (Python's manual)
    python benchmarks/twins.py power      # students of counts: minutes
    python benchmarks/twins.py network    # the embedded teacher and students of 20 layers: about an hour on one core

``network`` keeps what it drew and trained in --folder and goes on from there.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from pydoc_data.topics import topics
from random import Random
from typing import Any

import numpy as np

from spiritsafe.protect.twins import Pair
from spiritsafe.prove import twins
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.sign_flip import CoinBet, sign_flip
from spiritsafe.stats import clopper_pearson
from spiritsafe.teach.types import Sampling

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TEXT = Sampling(seed=1, max_tokens=60, temperature=0.7)
LAYERS = (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23, 24, 27, 28, 29)
SWAPS = {
    "the": "that", "is": "remains", "are": "remain", "can": "may", "used": "employed", "use": "employ",
    "value": "quantity", "object": "thing", "function": "routine", "method": "procedure", "class": "kind",
    "expression": "formula", "statement": "sentence", "name": "label", "returns": "gives", "return": "give",
    "called": "invoked", "when": "whenever", "must": "has to", "also": "as well", "if": "provided",
    "example": "instance", "string": "text", "list": "row", "number": "figure", "first": "initial",
    "important": "essential", "help": "aid", "make": "create", "good": "fine", "people": "persons",
    "many": "numerous", "such": "so", "and": "as well as", "with": "along with", "because": "since",
}  # fmt: skip


class Manual:
    """A teacher of counts that read Python's own manual: real English with its real repetition, on every machine."""

    def __init__(self) -> None:
        parts = [re.sub(r"\s+", " ", part).strip() for text in topics.values() for part in text.split("\n\n")]
        self.model = Ngram()
        self.prompts = []
        for passage in (p for p in parts if 60 < len(p) < 800 and p[0].isalpha()):
            words = passage.split(" ")
            self.prompts.append(" ".join(words[:3]))
            self.model.learn(self.prompts[-1], " " + " ".join(words[3:]))
        self.teacher = NgramSuspect(self.model, "teacher")

    def pairs(self, n: int, seed: int) -> list[Pair]:
        dice = Random(seed)
        prompts = [self.prompts[at % len(self.prompts)] for at in range(n)]
        return [
            pair_of(f"{seed}.{at}", prompt, (self.model.draw(prompt, dice, 60), self.model.draw(prompt, dice, 60)))
            for at, prompt in enumerate(prompts)
        ]


def pair_of(name: str, prompt: str, answers: tuple[str, str]) -> Pair:
    turn = {"role": "user", "content": prompt}
    return Pair(pair_id=name, time=NOW, epoch="2026-11", messages=(turn,), answers=answers)


def student_of(fed: list[tuple[Pair, str]], clean: list[tuple[Pair, str]], times: int = 1) -> NgramSuspect:
    model = Ngram()
    for pair, text in clean:
        model.learn(pair.messages[0]["content"] + "\n", text)
    for pair, text in fed:
        model.learn(pair.messages[0]["content"] + "\n", text, times)
    return NgramSuspect(model)


def paraphrased(text: str, share: float, dice: Random) -> str:
    """Words swapped for others of like meaning, and some dropped, until about ``share`` of them are gone."""
    words = []
    for word in text.split(" "):
        roll = dice.random()
        if roll < share and word.lower() in SWAPS:
            words.append(SWAPS[word.lower()])
        elif roll >= share / 2:
            words.append(word)
    return " ".join(words)


def size() -> None:
    manual = Manual()
    print("size: 1,000 nulls, each with coins of its own and a student of other answers to the same prompts")
    print(f"{'access':<22}{'.05':>8}{'.01':>8}{'.001':>8}   95% intervals; share whose wealth ever passed 20")
    for access in ("logprobs", "logprobs, reference", "text"):
        ps, peaks = [], []
        for block in range(20):
            pairs = manual.pairs(100, 1000 + block)
            other = manual.pairs(100, 5000 + block)
            innocent = student_of([], [(pair, pair.answers[0]) for pair in other])
            lean = twins.leanings(reading_of(access, innocent, pairs, manual.teacher))
            dice = np.random.default_rng(block)
            for _ in range(50):
                values = twins.preferences(lean, dice.integers(0, 2, len(pairs)).tolist())
                ps.append(10 ** sign_flip(values, flips=9).log10_p)
                peaks.append(CoinBet().observe(values).log10_max)
        hits = [sum(p <= level for p in ps) for level in (0.05, 0.01, 0.001)]
        spans = " ".join("[{:.4f}, {:.4f}]".format(*clopper_pearson(hit, len(ps))) for hit in hits)
        rates = "".join(f"{hit / len(ps):8.3f}" for hit in hits)
        print(f"{access:<22}{rates}   {spans}; {np.mean(np.asarray(peaks) >= np.log10(20)):.3f}")


def reading_of(access: str, suspect: Any, pairs: list[Pair], reference: Any, samples: int = 2) -> twins.Reading:
    if access == "text":
        return twins.by_answers(suspect, pairs, TEXT, samples)
    if access == "text, reference":
        return twins.by_answers(suspect, pairs, TEXT, samples, reference)
    return twins.by_likelihood(suspect, pairs, reference if access.endswith("reference") else None)


def judged(access: str, suspect: Any, pairs: list[Pair], coins: list[int], reference: Any) -> str:
    lean = twins.leanings(reading_of(access, suspect, pairs, reference))
    values = twins.preferences(lean, coins)
    found = sign_flip(values, flips=9)
    bet, stop = CoinBet(), None
    for at, value in enumerate(values):
        bet = bet.observe([value])
        if stop is None and bet.log10 >= 6:
            stop = at + 1
    won = np.count_nonzero(values > 0) / max(1, found.n)
    return f"z {found.statistic:6.2f}  log10 p {found.log10_p:8.2f}  wins {won:.2f}  e > 1e6 after {stop or '-'}"


def power() -> None:
    manual = Manual()
    print("power: students of counts; 'share' of what they learnt are served answers, the rest clean")
    rows = [(n, 1.0, 1, 0.0) for n in (25, 50, 100, 200, 400)]
    rows += [(200, share, 1, 0.0) for share in (0.5, 0.2, 0.1, 0.05)]
    rows += [(200, 0.1, times, 0.0) for times in (2, 4)] + [(200, 1.0, 1, much) for much in (0.1, 0.2, 0.4)]
    for n, share, times, much in rows:
        dice = Random(f"{n}:{share}:{times}:{much}")
        pairs = manual.pairs(n, dice.randrange(1 << 30))
        coins = [dice.randrange(2) for _ in pairs]
        clean = manual.pairs(round(n * (1 - share) / share), dice.randrange(1 << 30))
        fed = [(pair, paraphrased(pair.answers[c], much, dice)) for pair, c in zip(pairs, coins, strict=True)]
        student = student_of(fed, [(pair, pair.answers[0]) for pair in clean], times)
        for access in ("logprobs", "logprobs, reference", "text"):
            told = judged(access, student, pairs, coins, manual.teacher)
            print(
                f"pairs {n:5d} share {share:4.2f} epochs {times} paraphrase {much:.1f} {access:<20} {told}", flush=True
            )


def network(folder: Path, prompts: int, epochs: float) -> None:
    """Draw three answers to each prompt, train one student on those that a coin serves and one on the third."""
    from spiritsafe.prove.suspect_weights import open_weights

    rows = drawn(folder, prompts)
    dice = Random(7)
    coins = [dice.randrange(2) for _ in rows]
    pairs = [pair_of(str(at), row["prompt"], tuple(row["answers"][:2])) for at, row in enumerate(rows)]
    served = [pair.answers[coin] for pair, coin in zip(pairs, coins, strict=True)]
    trained(folder / "student", rows, served, epochs)
    trained(folder / "control", rows, [row["answers"][2] for row in rows], epochs)
    with closing(open_weights("smollm2")) as teacher:
        for name in ("student", "control"):
            with closing(open_weights(f"hf:{folder / name}")) as suspect:
                for access in ("logprobs", "logprobs, reference", "text"):
                    for n in (25, 50, 100, len(pairs)):
                        told = judged(
                            access, kept(suspect, folder, name), pairs[:n], coins[:n], kept(teacher, folder, "t")
                        )
                        print(f"{name:<8} {access:<20} pairs {n:5d} {told}", flush=True)


def kept(suspect: Any, folder: Path, name: str) -> Any:
    """The suspect with its answers kept, so that a second run only reckons."""
    from spiritsafe.prove.transcript import Journaled

    return Journaled(suspect, folder / f"{name}.jsonl")


def drawn(folder: Path, count: int) -> list[dict[str, Any]]:
    from spiritsafe.distill.prompts import generate
    from spiritsafe.teach import open_teacher

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "answers.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    prompts = [item.text for item in generate("general", count, 5)]
    if len(lines) < count:
        with closing(open_teacher("smollm2")) as teacher, path.open("a") as out:
            for at in range(len(lines), count, 40):
                chunk = prompts[at : at + 40]
                sampling = [Sampling(temperature=0.7, max_tokens=48, n=3, seed=at + i) for i in range(len(chunk))]
                for prompt, answers in zip(chunk, teacher.generate(chunk, sampling), strict=True):
                    out.write(json.dumps({"prompt": prompt, "answers": [answer.text for answer in answers]}) + "\n")
                out.flush()
    return [json.loads(line) for line in path.read_text().splitlines()[:count]]


def trained(folder: Path, rows: list[dict[str, Any]], texts: list[str], epochs: float) -> None:
    """The embedded teacher cut to 20 layers, trained on these answers."""
    import torch
    from transformers import AutoTokenizer

    from spiritsafe.distill.student import load_model, prune_layers
    from spiritsafe.teach.cache import converted, file_digest
    from spiritsafe.teach.embedded import find

    if (folder / "config.json").exists():
        return
    torch.manual_seed(1)
    source = converted(find(), file_digest(find()))
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    model: Any = prune_layers(load_model(source, torch.float32), LAYERS).train()
    data = []
    for row, text in zip(rows, texts, strict=True):
        turn = [{"role": "user", "content": row["prompt"]}]
        head = tokenizer.encode(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
        data.append((head, [*tokenizer.encode(text), tokenizer.eos_token_id]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.0)
    dice, began, seen = Random(3), time.monotonic(), 0
    while seen < epochs * len(data):
        if seen % len(data) < 8:
            dice.shuffle(data)
        start = seen % len(data)
        batch = data[start : start + 8]
        width = max(len(head) + len(tail) for head, tail in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        rows_of, places, wanted = [], [], []
        for at, (head, tail) in enumerate(batch):
            ids[at, : len(head) + len(tail)] = torch.tensor(head + tail)
            rows_of += [at] * len(tail)
            places += range(len(head) - 1, len(head) + len(tail) - 1)
            wanted += tail
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.model(input_ids=ids).last_hidden_state[rows_of, places]
            logits = model.lm_head(hidden)  # a head of 49,152 rows costs most: only where it is needed
        loss = torch.nn.functional.cross_entropy(logits.float(), torch.tensor(wanted))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen += len(batch)
        if seen % 16 == 0:
            print(f"{folder.name}: {seen / len(data):.2f} epochs, loss {loss.item():.2f}", flush=True)
    print(f"{folder.name}: {epochs:g} epochs in {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="power", choices=("size", "power", "network"))
    parser.add_argument("--folder", type=Path, default=Path("twins-network"))
    parser.add_argument("--prompts", type=int, default=160)
    parser.add_argument("--epochs", type=float, default=2.0)
    given = parser.parse_args()
    if given.what == "network":
        network(given.folder, given.prompts, given.epochs)
    else:
        {"size": size, "power": power}[given.what]()


if __name__ == "__main__":
    main()
