from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.distill.tasks import run_tasks
from spiritsafe.distill.weights import load_tokenizer
from spiritsafe.errors import UsageError

pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")

# What lm-eval and its parts warn of is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_task_of_ones_own_is_scored_with_its_error(small_model: Any, model_folder: Path, task_folder: Path) -> None:
    (score,) = run_tasks(
        "student", small_model, load_tokenizer(model_folder), ["colours"], folder=task_folder, limit=None, seed=0
    )
    assert (score.model, score.task, score.metric, score.n, score.version) == ("student", "colours", "acc", 6, "1.5")
    # Only right on one kind of answer or on some of both: whatever it is, the error is that of a mean of 6.
    assert score.value * 6 == pytest.approx(round(score.value * 6))
    assert score.stderr == pytest.approx(math.sqrt(score.value * (1 - score.value) / 5))


def test_fewer_documents_where_a_limit_says_so(small_model: Any, model_folder: Path, task_folder: Path) -> None:
    (score,) = run_tasks(
        "student", small_model, load_tokenizer(model_folder), ["colours"], folder=task_folder, limit=2, seed=0
    )
    assert score.n == 2


def test_an_unknown_task_is_named(small_model: Any, model_folder: Path, task_folder: Path) -> None:
    with pytest.raises(UsageError, match="no task shades"):
        run_tasks("s", small_model, load_tokenizer(model_folder), ["shades"], folder=task_folder, limit=None, seed=0)
