from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from spiritsafe.distill.batches import Example, encode
from spiritsafe.distill.recipe import Train
from spiritsafe.distill.rows import Row, prompt_id
from spiritsafe.distill.student import load_model
from spiritsafe.distill.targets import Live, Targets, tokens
from spiritsafe.distill.train import read_metrics, train
from spiritsafe.errors import InputError, ResourceError

SECTION = Train(epochs=4, batch=2, precision="float32", learning_rate=3e-3, checkpoint_steps=3, seed=5)
TEXTS = [
    ("Name a river.", "The Rhine ends in the sea."),
    ("How many hens?", "The farmer has seventeen hens now."),
    ("What turns?", "The tide turns twice a day."),
    ("Which lake?", "Name the lake and say which lake it is."),
    ("And the sky?", "The colour of the sky before rain."),
]


def examples_of(folder: Path) -> list[Example]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [Row(prompt_id=prompt_id(p), prompt=p, sample=0, answer=a, exchange_id="e", source="s") for p, a in TEXTS]
    return [e for r in rows if (e := encode(tokenizer, r, 128))]


def trained(folder: Path, out: Path, section: Train = SECTION, targets: Targets = tokens) -> LlamaForCausalLM:
    model = load_model(folder, torch.float32)
    train(model, examples_of(folder), targets, section, out, pad=1)
    return model  # type: ignore[return-value]


def test_the_loss_falls_and_every_step_is_logged(model_folder: Path, tmp_path: Path) -> None:
    trained(model_folder, tmp_path / "out", msgspec.structs.replace(SECTION, epochs=20))
    steps = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert [s.step for s in steps] == list(range(1, 61))
    assert steps[-1].loss < 0.6 * steps[0].loss
    assert steps[-1].left == 0.0
    assert steps[0].rate < steps[10].rate > steps[-1].rate


def test_accumulating_is_the_same_as_a_larger_batch(model_folder: Path, tmp_path: Path) -> None:
    large = trained(model_folder, tmp_path / "a", msgspec.structs.replace(SECTION, batch=4, epochs=2))
    small = trained(model_folder, tmp_path / "b", msgspec.structs.replace(SECTION, batch=1, accumulate=4, epochs=2))
    for (name, a), b in zip(large.state_dict().items(), small.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("loss", ["forward_kl", "reverse_kl", "jsd"])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(model_folder: Path, tmp_path: Path, loss: str) -> None:
    section = msgspec.structs.replace(SECTION, loss=loss, steps=1)
    trained(model_folder, tmp_path / "out", section, Live(load_model(model_folder, torch.float32)))
    (first,) = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert abs(first.loss) < 1e-6
    assert first.norm < 1e-4


def test_a_weight_on_the_tokens_mixes_the_two_losses(model_folder: Path, tmp_path: Path) -> None:
    live = Live(load_model(model_folder, torch.float32))
    first = {}
    for weight in (0.0, 0.25, 1.0):
        section = msgspec.structs.replace(SECTION, loss="forward_kl", sft_weight=weight, steps=1)
        trained(model_folder, tmp_path / str(weight), section, live)
        first[weight] = read_metrics(tmp_path / str(weight) / "metrics.jsonl")[0].loss
    assert first[0.25] == pytest.approx(0.75 * first[0.0] + 0.25 * first[1.0], abs=1e-5)
    assert first[1.0] > 1.0


def test_the_student_writes_on_policy_steps_itself(model_folder: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def write(chosen: list[Example], step: int) -> list[Example]:
        asked.append(step)
        return chosen

    model = load_model(model_folder, torch.float32)
    section = msgspec.structs.replace(SECTION, on_policy=0.5, epochs=20)
    train(model, examples_of(model_folder), tokens, section, tmp_path / "out", pad=1, write=write)
    assert 15 <= len(asked) <= 45
    assert asked == sorted(asked)


def test_no_examples_and_a_diverging_loss_say_so(model_folder: Path, tmp_path: Path) -> None:
    model = load_model(model_folder, torch.float32)
    with pytest.raises(InputError, match="no examples"):
        train(model, [], tokens, SECTION, tmp_path / "a", pad=1)
    with torch.no_grad():
        next(iter(model.parameters())).fill_(float("nan"))
    with pytest.raises(ResourceError, match="learning_rate"):
        train(model, examples_of(model_folder), tokens, SECTION, tmp_path / "b", pad=1)


CHILD = """
import sys, time, json, torch
from pathlib import Path
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import test_train as t
model = t.load_model(Path(sys.argv[2]), torch.float32)
slow = float(sys.argv[4])
t.train(model, t.examples_of(Path(sys.argv[2])), t.tokens, t.SECTION, Path(sys.argv[3]), pad=1,
        report=lambda p: time.sleep(slow))
torch.save(model.state_dict(), Path(sys.argv[3]) / "end.pt")
"""


def child(folder: Path, out: Path, slow: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder), str(out), str(slow)]
    return subprocess.Popen(command)


@pytest.mark.slow
def test_killed_and_resumed_ends_in_the_same_bits(model_folder: Path, tmp_path: Path) -> None:
    assert child(model_folder, tmp_path / "whole", 0.0).wait(timeout=200) == 0
    killed = tmp_path / "killed"
    for steps in (4, 8):
        process = child(model_folder, killed, 0.3)
        deadline = time.monotonic() + 120
        while len(read_metrics(killed / "metrics.jsonl")) < steps and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert child(model_folder, killed, 0.0).wait(timeout=200) == 0
    a, b = (torch.load(tmp_path / n / "end.pt") for n in ("whole", "killed"))
    assert all(torch.equal(a[name], b[name]) for name in a)
    logs = [[s.loss for s in read_metrics(tmp_path / n / "metrics.jsonl")] for n in ("whole", "killed")]
    assert logs[0] == logs[1]
