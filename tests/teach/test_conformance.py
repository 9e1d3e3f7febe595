"""What every teacher must do, whatever it is made of; and the registry that opens them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from importlib.metadata import EntryPoint
from typing import Any

import pytest
import torch

import spiritsafe.teach
from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.teach import TEACHERS, open_teacher
from spiritsafe.teach.types import Answer, Chat, Options, Raw, Sampling, Teacher

SMALL = Options(threads=1, batch=4, device="cpu", dtype="float32")
GREEDY = Sampling(temperature=0, max_tokens=8)


def spec_of(kind: str, request: pytest.FixtureRequest) -> str:
    match kind:
        case "hf":
            return f"hf:{request.getfixturevalue('folder')}"
        case "gguf":
            request.getfixturevalue("cache")
            return f"gguf:{request.getfixturevalue('gguf_file')}"
        case "openai":
            return f"openai:{request.getfixturevalue('url')}#tiny"
    return kind


@pytest.fixture(
    scope="module", params=[pytest.param(k, marks=[pytest.mark.model] if k == "smollm2" else []) for k in TEACHERS]
)
def any_teacher(request: pytest.FixtureRequest):
    options = SMALL if request.param != "smollm2" else Options(threads=1)
    with closing(open_teacher(spec_of(request.param, request), options)) as opened:
        yield opened


def texts(answers: list[list[Answer]]) -> list[list[str]]:
    return [[answer.text for answer in each] for each in answers]


async def streamed(teacher: Teacher, prompt: Any, sampling: Sampling) -> list[str]:
    text = [""] * sampling.n
    finishes: dict[int, str] = {}
    async for delta in teacher.stream(prompt, sampling):
        assert delta.choice not in finishes
        text[delta.choice] += delta.text
        if delta.finish is not None:
            finishes[delta.choice] = delta.finish
    assert len(finishes) == sampling.n
    return text


def test_it_says_what_it_is(any_teacher: Teacher) -> None:
    assert any_teacher.name
    assert any_teacher.terms_id
    assert any_teacher.access in ("text", "logprobs", "weights")
    assert (any_teacher.tokenizer is not None) == (any_teacher.access == "weights")
    assert (any_teacher.context_length is not None) == (any_teacher.access == "weights")


def test_answers_come_in_the_order_of_the_prompts_with_counts(any_teacher: Teacher) -> None:
    prompts = ["the still", Chat(({"role": "user", "content": "the safe"},)), Raw("every drop")]
    together = any_teacher.generate(prompts, GREEDY)
    for prompt, (answer,) in zip(prompts, together, strict=True):
        assert answer.prompt_tokens > 0
        assert 0 < answer.completion_tokens <= 8
        assert answer.finish in ("stop", "length")
        assert answer.choice == 0
        if any_teacher.name == "tiny":
            assert texts(any_teacher.generate([prompt], GREEDY)) == [[answer.text]]
    assert any_teacher.generate([], GREEDY) == []


def test_a_plain_string_is_one_user_message(any_teacher: Teacher) -> None:
    chat = Chat(({"role": "user", "content": "the still"},))
    string, message = any_teacher.generate(["the still", chat], Sampling(temperature=0, max_tokens=1))
    assert string == message


def test_a_seed_repeats_and_choices_differ(any_teacher: Teacher) -> None:
    sampling = Sampling(temperature=1, max_tokens=6, seed=4, n=3)
    first = texts(any_teacher.generate(["the spirit"], sampling))
    assert len(set(first[0])) > 1
    assert texts(any_teacher.generate(["the spirit"], sampling)) == first


def test_a_sampling_each(any_teacher: Teacher) -> None:
    answers = any_teacher.generate(["a", "b"], [Sampling(max_tokens=2, seed=1), Sampling(max_tokens=3, n=2, seed=1)])
    assert [len(each) for each in answers] == [1, 2]
    with pytest.raises(UsageError, match="2 prompts and 1"):
        any_teacher.generate(["a", "b"], [GREEDY])


def test_logprobs_are_logarithms_of_probabilities_with_the_likeliest_first(any_teacher: Teacher) -> None:
    for prompt in ("the drop", Raw("the drop")):
        (answer,) = any_teacher.generate([prompt], Sampling(temperature=0, max_tokens=6, logprobs=3))[0]
        assert answer.tokens
        for token in answer.tokens:
            assert token.logprob <= 0
            assert len(token.top) == 3
            assert token.top[0].logprob == pytest.approx(token.logprob)
            assert [each.logprob for each in token.top] == sorted((each.logprob for each in token.top), reverse=True)
        assert b"".join(token.data for token in answer.tokens).decode("utf-8", "replace") == answer.text


def test_logprobs_0_asks_for_the_chosen_ones_alone(any_teacher: Teacher) -> None:
    (answer,) = any_teacher.generate(["the drop"], Sampling(temperature=0, max_tokens=3, logprobs=0))[0]
    assert [token.top for token in answer.tokens] == [()] * len(answer.tokens)
    assert all(token.logprob is not None for token in answer.tokens)


def test_a_stop_string_ends_an_answer_and_is_not_part_of_it(any_teacher: Teacher) -> None:
    (whole,) = any_teacher.generate(["the glass"], GREEDY)[0]
    stop = whole.text[2:4]
    (cut,) = any_teacher.generate(["the glass"], Sampling(temperature=0, max_tokens=8, stop=(stop,)))[0]
    assert cut.finish == "stop"
    assert cut.text == whole.text[: whole.text.index(stop)]


async def test_a_stream_says_what_generate_says(any_teacher: Teacher) -> None:
    sampling = Sampling(temperature=1, max_tokens=5, seed=9, n=2, stop=("zzz",))
    for prompt in ("the case", Raw("the case")):
        assert await streamed(any_teacher, prompt, sampling) == texts(any_teacher.generate([prompt], sampling))[0]


async def test_a_stream_may_be_left(any_teacher: Teacher) -> None:
    async for delta in any_teacher.stream("the still", Sampling(max_tokens=200, seed=1)):
        assert delta.choice == 0
        break
    assert any_teacher.generate(["still there"], GREEDY)


def test_tool_calls(any_teacher: Teacher) -> None:
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    tools = ({"type": "function", "function": {"name": "lock", "parameters": schema}},)
    chat = Chat(({"role": "user", "content": "Lock it."},), tools, "required")
    (answer,) = any_teacher.generate([chat], Sampling(temperature=0, max_tokens=40))[0]
    (call,) = answer.tool_calls
    assert call.name == "lock"
    assert call.arguments in ('{"on": true}', '{"on": false}')
    assert (answer.text, answer.finish) == ("", "tool_calls")


def test_logits_or_the_reason_why_not(any_teacher: Teacher) -> None:
    if any_teacher.access != "weights":
        with pytest.raises(UsageError, match="no logits"):
            any_teacher.logits([1, 2])
        return
    ids = any_teacher.tokenizer.encode("the still makes")
    logits = any_teacher.logits(ids)
    assert logits.shape[0] == len(ids)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(any_teacher.logits(ids[:2]), logits[:2], atol=0.2, rtol=0.02)
    scale = torch.ones((), requires_grad=True)
    (logits * scale).sum().backward()
    with pytest.raises(InputError, match="0 tokens"):
        any_teacher.logits([])


def test_marks_reach_the_logits_or_are_refused(any_teacher: Teacher) -> None:
    class Favour:
        stage = "logits"

        def __call__(self, logits, context):
            logits[40] += 1000
            return logits

    if any_teacher.access != "weights":
        with pytest.raises(UsageError, match="can't be marked"):
            any_teacher.generate(["the still"], GREEDY, marks=[Favour()])
        return
    (answer,) = any_teacher.generate(["the still"], Sampling(seed=1, max_tokens=4), marks=[Favour()])[0]
    assert [token.id for token in answer.tokens] == [40] * 4


def test_embeddings_or_the_reason_why_not(any_teacher: Teacher) -> None:
    if any_teacher.access != "weights":
        with pytest.raises(UsageError, match="no embeddings"):
            any_teacher.embed(["a"])
        return
    first, second, again = torch.tensor(any_teacher.embed(["the still", "東京", "the still"]))
    assert first.norm().item() == pytest.approx(1, abs=1e-4)
    assert first @ again > first @ second


def test_a_prompt_beyond_the_context_is_an_input_error(any_teacher: Teacher) -> None:
    with pytest.raises(InputError, match="the context of"):
        any_teacher.generate(["drop " * 9000], GREEDY)


def test_the_registry_names_the_valid_forms() -> None:
    with pytest.raises(UsageError, match="smollm2, hf:FOLDER, gguf:FILE, openai:URL#model"):
        open_teacher("vllm:x")


def test_a_package_can_add_a_scheme_but_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint(name, "json:loads", spiritsafe.teach.GROUP) for name in ("mine", "hf")]
    monkeypatch.setattr(spiritsafe.teach, "entry_points", lambda group: points)
    with pytest.raises(UsageError, match=r"mine:\.\.\."):
        open_teacher("vllm:x")
    with pytest.raises(TypeError):
        open_teacher("mine:x")
    with pytest.raises(InputError, match="no such folder"):
        open_teacher("hf:/nowhere")


def test_a_missing_library_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "spiritsafe.teach.huggingface")
    monkeypatch.delitem(sys.modules, "spiritsafe.teach.kv")
    with pytest.raises(ResourceError, match=r"transformers is not installed.*spiritsafe\[embedded\]"):
        open_teacher("hf:/nowhere")


@pytest.mark.parametrize("module", ["spiritsafe.teach", "spiritsafe.teach.server", "spiritsafe.teach.openai"])
def test_what_needs_no_weights_loads_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
