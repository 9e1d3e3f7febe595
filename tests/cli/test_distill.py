from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]

RECIPE = """\
purpose: student
teacher: {source: smollm2}
prompts: [{file: prompts.jsonl, licence: CC0-1.0}]
student: {prune: {layers: 20}}
"""


def test_one_stage_is_done_and_told_to_machines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    done = run("distill", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out"), "--until", "terms", "--json")
    assert done.json["stages"]["terms"]["counts"]["verdict"] == "allowed"
    assert "terms: verdict allowed" in done.err
    assert json.loads((tmp_path / "out" / "terms" / "manifest.json").read_text())["stage"] == "terms"


def test_a_wrong_recipe_lists_every_problem_and_ends_with_2(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE + "trian: {}\ncollect: {sampling: {samples: none}}\n")
    done = run("distill", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "recipe.yaml:5: unknown key 'trian'. Did you mean 'train'?" in done.err
    assert "recipe.yaml:6: collect.sampling.samples" in done.err
    assert not (tmp_path / "out").exists()


def test_an_unknown_stage_names_the_known(run: Run, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    done = run("distill", str(tmp_path / "recipe.yaml"), "--until", "bake")
    assert done.code == 2
    assert "Stages: terms, collect, cache, curate, train, evaluate, seal." in done.err
