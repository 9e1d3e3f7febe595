from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from spiritsafe.distill.ledger import read_ledger
from spiritsafe.distill.pipeline import distill
from spiritsafe.distill.stages import STAGES, Run, file_digest
from spiritsafe.distill.steps.evaluate import read_evaluation
from spiritsafe.distill.train import read_metrics
from spiritsafe.distill.verify_student import verify_student
from spiritsafe.errors import Refused, UsageError
from spiritsafe.record.reader import read

RECIPE = """\
purpose: student
teacher: {source: "hf:{folder}", terms: HuggingFaceTB/SmolLM2-135M-Instruct}
prompts: [{file: prompts.jsonl, licence: Apache-2.0}]
collect:
  sampling: {temperature: 1.0, max_tokens: 8}
  concurrency: 4
curate: {complete: false, near: null}
student: {prune: {layers: 3}}
train: {loss: forward_kl, epochs: 2, batch: 4, precision: float32, max_length: 96, checkpoint_steps: 2}
evaluate: {held_out: 0.3, draws: 100, max_tokens: 4}
"""


class Quiet:
    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, what: str, share: float, left: float | None) -> None:
        pass

    def say(self, line: str) -> None:
        if not line.startswith("collect: ") or "to ask" not in line:
            self.said.append(line)


SAMPLED = RECIPE.replace("train: {loss: forward_kl", "cache: {kind: sampled}\ntrain: {loss: sampled_kl").replace(
    "precision: float32", "precision: float32, threads: 1"
)


def recipe_in(folder: Path, model: Path, text: str = RECIPE) -> Path:
    names = ["river", "lake", "harbour", "tide", "hen", "farmer", "sky", "rain", "colour", "sentence", "day", "market"]
    lines = [json.dumps({"prompt": f"Say one thing about a {a} and a {b}."}) for a in names[:6] for b in names[6:9]]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    path = folder / "recipe.yaml"
    path.write_text(text.replace("{folder}", str(model)))
    return path


def perform(recipe: Path, out: Path, **options: object) -> tuple[Run, list[str]]:
    report = Quiet()
    run = distill(recipe, out, report=report, **options)  # type: ignore[arg-type]
    return run, report.said


def test_a_recipe_becomes_a_measured_student(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    run, said = perform(recipe, tmp_path / "run", until="evaluate")
    assert [line.split(":")[0] for line in said] == ["terms", "collect", "cache", "curate", "train", "evaluate"]
    steps = read_metrics(run.path("train") / "metrics.jsonl")
    assert steps[-1].loss < steps[0].loss
    evaluation = read_evaluation(run.path("evaluate"))
    student, untouched, teacher = evaluation.measured
    assert teacher.agreement == 1.0
    assert teacher.kl == pytest.approx(0.0, abs=1e-5)
    assert student.kl is not None
    assert untouched.kl is not None
    assert 0 < student.kl < untouched.kl
    (kept,) = evaluation.retention
    assert kept.interval is not None
    assert kept.interval[0] <= (kept.value or 0) <= kept.interval[1]


def test_what_is_done_is_not_done_again_and_what_changed_is(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    perform(recipe, tmp_path / "run", until="train")
    with pytest.raises(UsageError, match="--resume"):
        perform(recipe, tmp_path / "run", until="train")
    _, said = perform(recipe, tmp_path / "run", until="train", resume=True)
    assert said == [f"{stage}: done before" for stage in ("terms", "collect", "cache", "curate", "train")]
    recipe_in(tmp_path, model_folder, RECIPE.replace("epochs: 2", "epochs: 1"))
    run, said = perform(recipe, tmp_path / "run", until="train", resume=True)
    assert said[:4] == [f"{stage}: done before" for stage in ("terms", "collect", "cache", "curate")]
    assert said[4] == "train: again, since the recipe's student or train has changed; what was there is in train.1"
    assert (run.folder / "train.1" / "model" / "model.safetensors").exists()


def test_a_teacher_without_permission_is_refused_before_the_first_request(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(
        tmp_path, model_folder, RECIPE.replace("HuggingFaceTB/SmolLM2-135M-Instruct", "a-model-nobody-knows")
    )
    with pytest.raises(Refused, match="a-model-nobody-knows is unknown"):
        perform(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "collect").exists()


def test_prompts_of_unknown_licence_stop_the_run_unless_someone_answers_for_them(
    tmp_path: Path, model_folder: Path
) -> None:
    recipe = recipe_in(tmp_path, model_folder, RECIPE.replace(", licence: Apache-2.0", ""))
    with pytest.raises(Refused, match="nobody says under what licence"):
        perform(recipe, tmp_path / "a", until="terms")
    recipe_in(tmp_path, model_folder, RECIPE.replace("licence: Apache-2.0", "acknowledge: A. Person"))
    run, _ = perform(recipe, tmp_path / "b", until="terms")
    permission = json.loads((run.path("terms") / "permission.json").read_text())
    assert permission["prompts"][0]["acknowledged_by"] == "A. Person"


def test_answers_are_not_paid_for_again_when_more_is_collected(tmp_path: Path, model_folder: Path) -> None:
    recipe = recipe_in(tmp_path, model_folder)
    perform(recipe, tmp_path / "run", until="collect")
    recipe_in(tmp_path, model_folder, RECIPE.replace("concurrency: 4", "concurrency: 2"))
    run, said = perform(recipe, tmp_path / "run", until="collect", resume=True)
    assert "again" in said[1]
    collected = run.manifest("collect")
    assert collected is not None
    assert (collected.counts["asked"], collected.counts["reused"]) == (0, 18)


def test_the_ledger_has_an_entry_for_each_stage(tmp_path: Path, model_folder: Path) -> None:
    run, _ = perform(recipe_in(tmp_path, model_folder), tmp_path / "run", until="train")
    ledger = read_ledger(run.folder)
    assert [e.stage for e in ledger.entries] == ["terms", "collect", "cache", "curate", "train"]
    assert ledger.entries[1].tokens_out > 0
    assert ledger.entries[4].flops > 6 * (ledger.student_params or 0) * ledger.entries[4].tokens_trained


FORGE = """
import json, os, signal, sys
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import accelerate, peft, torch, transformers
from spiritsafe.distill.pipeline import distill

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Quiet:
    def __call__(self, what, share, left):
        pass

    def say(self, line):
        pass


def attempt(recipe, out, until, at):
    # Counts every file that is opened for writing, renamed, made or removed in the run's folder, and is killed at
    # the one numbered `at`.
    seen = 0

    def hook(event, args):
        nonlocal seen
        if event not in ("open", "os.rename", "os.mkdir", "os.remove") or not str(args[0]).startswith(str(out)):
            return
        if event == "open" and not args[2] & WRITING:
            return
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    torch.set_num_threads(1)
    distill(Path(recipe), Path(out), until=until, resume=True, report=Quiet())
    return seen


for line in sys.stdin:
    recipe, out, until, at = json.loads(line)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(attempt(recipe, out, until, at)).encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), (os.read(reading, 16) or b"0").decode()]), flush=True)
    os.close(reading)
"""


class Forge:
    """A process with everything loaded, which forks one that distils and may be killed on the way."""

    def __init__(self, recipe: Path) -> None:
        self._recipe = recipe
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def distil(self, out: Path, until: str, at: int = 0) -> tuple[int, int]:
        """Its exit status (-9: it was killed at file ``at``) and how many files it touched (0 if it was killed)."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([str(self._recipe), str(out), until, at]), file=self._process.stdin, flush=True)
        status, touched = json.loads(self._process.stdout.readline())
        return status, int(touched)

    def __enter__(self) -> Forge:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def digests(folder: Path, *names: str) -> dict[str, str]:
    return {name: file_digest(folder / name) for name in names}


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_in_the_same_weights(tmp_path: Path, model_folder: Path) -> None:
    """Killed at files drawn by chance, in each stage; SPIRITSAFE_KILLS says how often (as `kill -9`, 2 a stage)."""
    recipe = recipe_in(tmp_path, model_folder, SAMPLED)
    dice, kills = random.Random(0), int(os.environ.get("SPIRITSAFE_KILLS", "2"))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    killed = Counter[str]()
    with Forge(recipe) as forge:
        for stage in STAGES:
            status, touched = forge.distil(whole, stage)
            assert status == 0
            for at in sorted(dice.sample(range(1, touched + 1), min(kills, touched))):
                killed[stage] += forge.distil(broken, stage, at)[0] == -signal.SIGKILL
            assert forge.distil(broken, stage)[0] == 0
    assert set(killed) == set(STAGES), killed
    weights = ("train/start/model.safetensors", "train/model/model.safetensors", "seal/student/model.safetensors")
    assert digests(broken, *weights) == digests(whole, *weights)
    logs = [[s.loss for s in read_metrics(run / "train" / "metrics.jsonl")] for run in (whole, broken)]
    assert logs[0] == logs[1]
    assert verify_student(broken / "seal" / "student").problems == ()
    entries = [e.stage for e in read_ledger(broken).entries]
    assert Counter(entries) == Counter(STAGES), entries
    record = [e.exchange_id for _, e in read(broken / "collect" / "record")]
    assert len(record) == 18
