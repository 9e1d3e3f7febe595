from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.distill.losses import LOSSES
from spiritsafe.distill.prompts import GENERATORS
from spiritsafe.distill.recipe import Prompts, read_recipe
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
    with pytest.raises(ConfigError, match="at least one source of prompts"):
        read_recipe(written(tmp_path, SMALLEST.replace("[{file: prompts.jsonl, licence: CC0-1.0}]", "[]")))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("{}", "exactly one of file and generate"),
        ("{file: a.txt, generate: general, count: 3}", "exactly one of file and generate"),
        ("{generate: general}", "give it with generate"),
        ("{file: a.txt, count: 3}", "give it with generate"),
        ("{generate: poems, count: 3}", "poems"),
    ],
)
def test_prompts_are_a_file_or_a_number_to_generate(tmp_path: Path, prompts: str, message: str) -> None:
    text = SMALLEST.replace("{file: prompts.jsonl, licence: CC0-1.0}", prompts)
    with pytest.raises(ConfigError, match=message):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    ("cache", "message"), [("sampled", "needs a teacher's weights"), ("topk", r"needs collect\.sampling\.top_logprobs")]
)
def test_a_cache_that_an_api_can_not_fill_is_refused_before_anything_is_paid(
    tmp_path: Path, cache: str, message: str
) -> None:
    text = SMALLEST.replace("smollm2", "openai:http://host/v1#m") + f"cache: {{kind: {cache}}}\n"
    with pytest.raises(ConfigError, match=message):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_recipe_can_name_every_generator(tmp_path: Path, kind: str) -> None:
    text = SMALLEST.replace("{file: prompts.jsonl, licence: CC0-1.0}", f"{{generate: {kind}, count: 3}}")
    assert read_recipe(written(tmp_path, text)).prompts == (Prompts(generate=kind, count=3),)  # type: ignore[arg-type]


EXAMPLES = Path(__file__).parents[2] / "examples" / "recipes"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_is_a_recipe(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.train.loss in LOSSES
    assert all(p.generate is not None for p in recipe.prompts)  # nobody's data but our own


def test_the_two_caches_are_compared_on_the_same_budget() -> None:
    topk, sampled = (read_recipe(EXAMPLES / f"{name}.yaml") for name in ("topk", "sampled"))
    for section in ("teacher", "prompts", "student", "collect", "curate", "evaluate"):
        assert getattr(topk, section) == getattr(sampled, section)
    assert (topk.train.minutes, topk.train.seed) == (sampled.train.minutes, sampled.train.seed)
