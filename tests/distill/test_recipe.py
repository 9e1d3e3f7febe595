from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.distill.recipe import read_recipe
from spiritsafe.errors import ConfigError

SMALLEST = """\
purpose: research
teacher: {source: smollm2}
prompts: [{file: prompts.jsonl, licence: CC0-1.0}]
student: {prune: {layers: 20}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_smallest_recipe_has_a_default_for_the_rest(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST))
    assert recipe.student.prune is not None
    assert recipe.student.prune.layers == 20
    assert recipe.train.loss == "sft"
    assert recipe.collect.ceiling.money is None


def test_wrong_keys_are_all_listed_with_their_lines(tmp_path: Path) -> None:
    text = SMALLEST + "train: {los: sft, batch: 0}\ncolect: {}\n"
    with pytest.raises(ConfigError) as caught:
        read_recipe(written(tmp_path, text))
    assert [p.where.rsplit(":", 1)[1] for p in caught.value.problems] == ["5", "5", "6"]
    assert "Did you mean 'loss'?" in str(caught.value)
    assert "Did you mean 'collect'?" in str(caught.value)


@pytest.mark.parametrize("student", ["{}", "{model: a, prune: {layers: 2}}"])
def test_a_student_is_exactly_one_thing(tmp_path: Path, student: str) -> None:
    text = SMALLEST.replace("{prune: {layers: 20}}", student)
    with pytest.raises(ConfigError, match="exactly one of model, prune and config"):
        read_recipe(written(tmp_path, text))


def test_a_recipe_without_prompts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one file of prompts"):
        read_recipe(written(tmp_path, SMALLEST.replace("[{file: prompts.jsonl, licence: CC0-1.0}]", "[]")))
