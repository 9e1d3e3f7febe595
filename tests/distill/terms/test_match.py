from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.distill.terms.match import close, find, words
from spiritsafe.distill.terms.types import Model


def model(name, *names, any_version=False):
    return Model(
        name=name,
        publisher="p",
        terms="t",
        names=list(names),
        basis="recollection, unverified",
        any_version=any_version,
    )


MODELS = [
    model("Llama 3", "llama 3"),
    model("Llama 3.1", "llama 3.1"),
    model("Nemotron", "nemotron"),
    model("GPT", "gpt", "openai", "o1", any_version=True),
    model("gpt-oss", "gpt oss"),
    model("DeepSeek, hosted", "deepseek"),
    model("DeepSeek-R1", "deepseek r1"),
    model("R1 on Llama", "deepseek r1 distill llama"),
    model("Pythia", "pythia"),
]


def names(text):
    return [m.model.name for m in find(text, MODELS)]


def test_writing_does_not_matter():
    assert words("Llama-3.1-8B-Instruct") == words("llama3.1 8b instruct") == ("llama", "3.1", "8b", "instruct")
    assert words("GPT-4o") == words("gpt4o") == ("gpt", "4o")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", ["Llama 3.1"]),
        ("llama3:8b", ["Llama 3"]),
        ("nvidia/Llama-3.1-Nemotron-70B", ["Llama 3.1", "Nemotron"]),
        ("openai/gpt-oss-20b", ["gpt-oss"]),
        ("openai/o1-mini", ["GPT"]),
        ("openai", ["GPT"]),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ["R1 on Llama"]),
        ("DeepSeek-R1-0528", ["DeepSeek-R1"]),
        ("mollama 3", []),
        ("llama", []),
        ("", []),
    ],
)
def test_the_longest_names_that_do_not_lie_in_one_another_hold(text, found):
    assert names(text) == found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("deepseek-v4", "v4"),
        ("deepseek-5.1-chat", "5.1"),
        ("deepseek-r2", "r2"),
        ("deepseek", None),
        ("deepseek-chat", None),
        ("deepseek-0528", None),  # a snapshot
        ("pythia-160m", None),  # a size
        ("pythia-2.8b", None),
        ("gpt-7", None),  # any version is known to be under the same terms
    ],
)
def test_a_version_that_the_entry_does_not_know_is_seen(text, version):
    (match,) = find(text, MODELS)
    assert match.other_version == version


def test_a_misspelling_finds_what_was_meant():
    assert close("lama-3.1-8b", MODELS)[0] == "llama 3.1"
    assert "gpt" in close("gtp-4", MODELS)
    assert close("deepsek-chat", MODELS)[0] == "deepseek"
    assert close("xyzzy", MODELS) == ()


@given(st.text())
def test_any_text_is_answered(text):
    for match in find(text, MODELS):
        assert match.start < match.stop
    assert len(close(text, MODELS)) <= 3
