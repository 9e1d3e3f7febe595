from __future__ import annotations

from datetime import date

import pytest

from spiritsafe.distill.terms.ask import as_purpose, ask, needs_grant, oldest
from spiritsafe.distill.terms.registry import own_registry
from spiritsafe.errors import UsageError


def answer(name, **more):
    return ask(name, own_registry(), **more)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "allowed"),
        ("deepseek-ai/DeepSeek-R1", "allowed"),
        ("openai/gpt-oss-120b", "allowed"),
        ("Qwen/Qwen2.5-7B-Instruct", "allowed"),
        ("meta-llama/Llama-3.1-8B-Instruct", "conditional"),
        ("google/gemma-2-9b-it", "conditional"),
        ("Qwen/Qwen2.5-72B-Instruct", "conditional"),
        ("deepseek-ai/DeepSeek-V3", "conditional"),
        ("Qwen/Qwen2.5-3B-Instruct", "forbidden"),
        ("meta-llama/Meta-Llama-3-8B", "forbidden"),
        ("databricks/dbrx-instruct", "forbidden"),
        ("gpt-4o-mini", "forbidden"),
        ("claude-sonnet-4-5", "forbidden"),
        ("gemini-2.5-pro", "forbidden"),
        ("reka-flash", "unknown"),
        ("no such model", "unknown"),
    ],
)
def test_the_registry_answers_for_what_people_use(name, verdict):
    assert answer(name).verdict == verdict


def test_a_forbidden_answer_says_which_clause_forbids_what_and_what_is_excepted():
    found = answer("llama-3-8b")
    (reason,) = [r for r in found.reasons if "1.b.v" in r]
    assert "Forbids a student that is not itself Llama 3" in reason
    assert "Excepted: Llama 3 itself" in reason
    assert found.conditions == ()


def test_a_conditional_answer_lists_what_the_card_must_carry():
    found = answer("llama-3.1-8b")
    assert any('begins with "Llama"' in c for c in found.conditions)
    assert any("acceptable use" in c for c in found.conditions)


def test_two_families_in_one_name_both_hold_and_the_stricter_decides():
    found = answer("nvidia/Llama-3.1-Nemotron-70B")
    assert {a.terms for a in found.applied} == {"llama-3.1", "nvidia-open-model"}
    assert found.verdict == "conditional"


def test_the_purpose_changes_the_answer():
    assert answer("Qwen2.5-3B", purpose="research").verdict == "conditional"
    assert answer("Qwen2.5-3B", purpose="inside").verdict == "forbidden"
    assert answer("gpt-4o", purpose="narrow").verdict == "conditional"
    assert answer("gpt-4o", purpose="research").verdict == "forbidden"


def test_the_host_adds_its_terms_to_the_weights_licence():
    assert answer("gemma-4-31b").verdict == "allowed"
    hosted = answer("gemma-4-31b", via="gemini-api")
    assert hosted.verdict == "forbidden"
    assert [a.terms for a in hosted.applied] == ["apache-2.0", "gemini-api"]
    assert answer("llama-3.1-8b", via="groq").verdict == "unknown"


def test_a_host_takes_the_place_of_the_hosted_siblings_terms():
    assert [a.terms for a in answer("deepseek-chat", via="openrouter").applied] == ["openrouter"]


def test_an_unknown_host_names_close_ones():
    with pytest.raises(UsageError, match="openrouter"):
        answer("llama-3.1-8b", via="openruter")


def test_a_version_newer_than_the_registry_is_unknown_even_if_the_family_is_free():
    found = answer("deepseek-v9")
    assert found.verdict == "unknown"
    assert "not version v9" in found.reasons[0]
    assert answer("gpt-9").verdict == "forbidden"


def test_a_misspelled_name_is_unknown_with_suggestions():
    found = answer("lama-3.1")
    assert (found.verdict, found.applied, found.verified) == ("unknown", (), False)
    assert "llama 3.1" in found.suggestions


def test_recollection_is_never_passed_off_as_read():
    assert not answer("mixtral-8x7b").verified
    assert answer("mixtral-8x7b").verdict == "allowed"
    assert answer("llama-3.1").verified


def test_every_answer_dates_itself_and_gives_no_advice():
    found = answer("llama-3.1")
    assert found.as_of == date(2026, 11, 22)
    assert oldest(found, date(2026, 12, 2)) == 10
    assert oldest(answer("xyzzy"), date(2026, 12, 2)) is None
    assert "not legal advice" in found.advice


def test_what_is_forbidden_or_unknown_needs_a_grant():
    needing = [needs_grant(answer(n)) for n in ("smollm2", "llama-3.1", "gpt-4o", "xyzzy")]
    assert needing == [False, False, True, True]


def test_a_purpose_is_one_of_four():
    assert as_purpose("narrow") == "narrow"
    with pytest.raises(UsageError, match="research: non-commercial research"):
        as_purpose("fun")
