from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from spiritsafe.detect.account import sorts
from spiritsafe.detect.account.sorts import Model, model, sorts_of
from spiritsafe.errors import InputError
from spiritsafe.record.sketch import SKETCH, sketch_texts

SHARED = Path(__file__).resolve().parents[4] / "shared" / "traffic" / "prompts"


def sort_of(*texts: str) -> np.ndarray:
    return sorts_of(sketch_texts(texts, parts=frozenset({"embedding"})))


def skill(*texts: str) -> np.ndarray:
    return sort_of(*texts)[:, model().skill].sum(axis=1)


GREETINGS = (
    "Guten Tag|bonjour|buenos días|buongiorno|bom dia|goedendag|god morgon|god dag|"
    "hyvää huomenta|dzień dobry|dobrý den|dobré ráno|jó napot|bună ziua|добър ден|"
    "здравствуйте|добрий день|добар дан|Γειά σου|merhaba|سلام|مرحبا|שלום|नमस्ते|নমস্কার|"
    "ਸਤ ਸ੍ਰੀ ਅਕਾਲ|வணக்கம்|నమస్కారం|ನಮಸ್ಕಾರ|สวัสดี|ສະບາຍດີ|xin chào|selamat pagi|kumusta|おはよう|"
    "안녕하세요|你好|早晨|ሰላም|habari|გამარჯობა|բարեւ"
)
LANGUAGES = GREETINGS.split("|")


SKILLS = {
    "word_problem": "Maria has 14 marbles. She gives 5 to her brother and buys 9 more. How many marbles does she have?",
    "contest": "Let $n$ be a positive integer such that $n^2 + 3n = 40$. Find the sum of all possible values of $n$.",
    "write_code": "Write a Python function that returns the second largest element of a list of integers.",
    "query_code": "Write an SQL query to find all customers with more than 10 orders grouped by city.",
}
OTHERS = {
    "bank_card": "my new card still hasn't arrived, what do i do?",
    "clock": "set an alarm for seven am tomorrow",
    "trip": "do i need a visa to visit Japan",
}


@pytest.mark.parametrize(("name", "text"), [*SKILLS.items(), *OTHERS.items()])
def test_plain_cases_are_told_apart(name: str, text: str) -> None:
    assert model().names[int(sort_of(text)[0].argmax())] == name


def test_skills_are_told_from_the_rest() -> None:
    assert skill(*SKILLS.values()).min() > 0.7
    assert skill(*OTHERS.values()).max() < 0.3


def test_chances_are_chances_whatever_the_text() -> None:
    odd = [
        "",
        " ",
        "\x00",
        "\x00" * 50,
        "\u202e",
        "思考",
        "x" * 1_000_000,
        "word " * 200_000,
        "😀 😀",
        "\ud800",
        "{" * 5000,
    ]
    found = sort_of(*odd, *LANGUAGES)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-3)


def test_weights_for_other_sketches_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sorts.npz"
    Model(("a",), np.array([True]), np.array([False]), np.zeros((3, 1), dtype=np.float32), "text-0").save(path)
    monkeypatch.setattr(sorts, "WEIGHTS", path)
    model.cache_clear()
    try:
        with pytest.raises(InputError, match="text-0"):
            model()
    finally:
        monkeypatch.undo()
        model.cache_clear()


def test_the_shipped_weights_are_for_this_sketch() -> None:
    held = model()
    assert held.sketch == SKETCH
    assert len(held.names) == held.weights.shape[1] == held.skill.size
    assert 10 < held.skill.sum() < 25


@pytest.mark.skipif(not SHARED.exists(), reason="the shared prompts are not on this machine")
def test_real_harvests_show_skills_and_real_customers_few() -> None:
    def share(name: str) -> float:
        with gzip.open(SHARED / f"{name}.jsonl.gz", "rt") as lines:
            texts = [json.loads(line)["prompt"][:2000] for _, line in zip(range(800), lines, strict=False)]
        return float(skill(*texts).mean())

    harvests = ("gsm8k_train", "math_train_deepscaler", "gpteacher_codegen", "gpteacher_toolformer")
    customers = ("nq_open", "banking77", "clinc150", "hh_rlhf_human_turns")
    assert min(share(name) for name in harvests) > 0.6
    assert max(share(name) for name in customers) < 0.25


def test_the_answer_is_kept_for_the_sketches_it_was_given_for_alone() -> None:
    one, other = (sketch_texts(texts, parts=frozenset({"embedding"})) for texts in (["a b", "c"], ["d e", "f"]))
    first = sorts_of(one).copy()
    assert list(one.derived) == [sorts.SORTS]
    assert not other.derived
    assert not np.array_equal(sorts_of(other), first)
    assert np.array_equal(sorts_of(one), first)
