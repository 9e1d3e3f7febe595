from __future__ import annotations

import asyncio
import json
import queue
import shutil
from contextlib import closing

import pytest
import torch

from spiritsafe.errors import InputError, ResourceError, UsageError
from spiritsafe.teach import open_teacher
from spiritsafe.teach.local import LocalTeacher
from spiritsafe.teach.types import Chat, ContextTooLong, Options, Raw, Sampling

SMALL = Options(threads=1, batch=4, device="cpu", dtype="float32")
GREEDY = Sampling(temperature=0, max_tokens=16)


def test_greedy_answers_are_those_of_transformers(teacher: LocalTeacher, plain, tokenizer) -> None:
    for text in ("the still", "Größe 🥃", "a"):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = plain.generate(**ids, do_sample=False, max_new_tokens=16)[0, ids["input_ids"].shape[1] :]
        (answer,) = teacher.generate([text], GREEDY)[0]
        assert [token.id for token in answer.tokens] == [token for token in out.tolist() if token != 0]
        assert answer.text == tokenizer.decode(out, skip_special_tokens=True)


def test_logits_are_those_of_transformers(teacher: LocalTeacher, plain, tokenizer) -> None:
    ids = tokenizer.encode("Every drop that leaves the still")
    with torch.no_grad():
        torch.testing.assert_close(teacher.logits(ids), plain(torch.tensor([ids])).logits[0], atol=1e-4, rtol=1e-4)


def test_logprobs_are_those_of_transformers(teacher: LocalTeacher, tokenizer) -> None:
    prompt = tokenizer.encode("the glass case")
    sampling = Sampling(temperature=0.7, top_p=0.9, seed=3, max_tokens=8, logprobs=4)
    (answer,) = teacher.generate([Raw("the glass case")], sampling)[0]
    ids = [token.id for token in answer.tokens]
    logprobs = teacher.logits([*prompt, *ids])[len(prompt) - 1 : -1].log_softmax(-1)
    for row, token in zip(logprobs, answer.tokens, strict=True):
        assert token.logprob == pytest.approx(row[token.id].item(), abs=1e-3)
        assert [each.id for each in token.top] == row.topk(4).indices.tolist()


def test_many_prompts_are_answered_a_few_batches_at_a_time(teacher: LocalTeacher) -> None:
    prompts = [f"drop {index}" for index in range(50)]
    answers = teacher.generate(prompts, Sampling(seed=1, max_tokens=3))
    assert len(answers) == 50
    assert answers[17] == teacher.generate([prompts[17]], Sampling(seed=1, max_tokens=3))[0]


def test_an_answer_ends_where_the_context_does(teacher: LocalTeacher, tokenizer) -> None:
    prompt = Raw("a" * 400)
    room = 512 - len(tokenizer.encode(prompt.text))

    class NoEnd:
        stage = "logits"

        def __call__(self, logits, context):
            logits[0] = float("-inf")
            return logits

    for limit in (None, 10**6):
        (answer,) = teacher.generate([prompt], Sampling(max_tokens=limit, seed=1), marks=[NoEnd()])[0]
        assert (answer.completion_tokens, answer.finish) == (room, "length")


def test_prompts_that_can_not_be_asked(teacher: LocalTeacher) -> None:
    with pytest.raises(ContextTooLong, match="the context of tiny holds 512"):
        teacher.generate([Raw("🥃" * 512)], GREEDY)
    with pytest.raises(InputError, match="no token"):
        teacher.generate([Raw("")], GREEDY)
    with pytest.raises(UsageError, match="top_p"):
        teacher.generate(["a"], Sampling(top_p=2))
    with pytest.raises(InputError, match="text alone"):
        teacher.generate([Chat(({"role": "user", "content": [{"type": "image_url"}]},))], GREEDY)
    with pytest.raises(ContextTooLong, match=r"input\[1\]"):
        teacher.embed(["a", "🥃" * 512])


def test_after_an_error_nothing_is_left_running(teacher: LocalTeacher) -> None:
    with pytest.raises(ContextTooLong):
        teacher.generate(["a", Raw("🥃" * 512)], Sampling(max_tokens=400, seed=1))
    assert teacher.generate(["a"], GREEDY)


@pytest.mark.parametrize("temperature", [0, 1])
def test_json_schema_answers_are_json_of_the_schema(teacher: LocalTeacher, temperature: float) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "s": {"type": "string"}},
        "required": ["n", "s"],
    }
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    chat = Chat(({"role": "user", "content": "json"},), response_format=form)
    sampling = Sampling(temperature=temperature, seed=2, max_tokens=60, n=3)
    for answer in teacher.generate([chat], sampling)[0]:
        value = json.loads(answer.text)
        assert type(value["n"]) is int
        assert isinstance(value["s"], str)


def test_a_tool_call_that_was_not_closed_is_shown_as_text(teacher: LocalTeacher) -> None:
    tools = ({"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "string"}}}}},)
    chat = Chat(({"role": "user", "content": "x"},), tools, "required")
    (answer,) = teacher.generate([chat], Sampling(temperature=0, max_tokens=1))[0]
    assert answer.tool_calls == ()
    assert answer.finish == "length"
    assert answer.text.startswith('<tool_call>\n{"name": "f", "arguments": {')


TOOLS = ({"type": "function", "function": {"name": "lock_the_safe"}},)


@pytest.mark.parametrize("template", ["plain", "with tools"])
def test_tools_are_told_in_the_template_or_else_in_the_system_message(template, folder, tmp_path, templates) -> None:
    copied = tmp_path / "tiny"
    shutil.copytree(folder, copied)
    (copied / "chat_template.jinja").write_text(templates[template])
    with closing(open_teacher(f"hf:{copied}", SMALL)) as opened:
        asked = Chat(({"role": "user", "content": "x"},), TOOLS)
        (told,), (not_told,) = opened.generate(
            [asked, Chat(asked.messages, TOOLS, "none")], Sampling(max_tokens=1, seed=1)
        )
        (bare,) = opened.generate([Chat(asked.messages)], Sampling(max_tokens=1, seed=1))[0]
    assert told.prompt_tokens > bare.prompt_tokens + 10
    assert not_told.prompt_tokens == bare.prompt_tokens


def test_a_template_may_refuse_and_a_model_may_have_none(folder, tmp_path) -> None:
    copied = tmp_path / "tiny"
    shutil.copytree(folder, copied)
    template = copied / "chat_template.jinja"
    template.write_text("{{ raise_exception('roles must alternate') }}")
    with (
        closing(open_teacher(f"hf:{copied}", SMALL)) as opened,
        pytest.raises(InputError, match="roles must alternate"),
    ):
        opened.generate(["a"], GREEDY)
    template.unlink()
    with closing(open_teacher(f"hf:{copied}", SMALL)) as opened:
        with pytest.raises(InputError, match="no chat template"):
            opened.generate(["a"], GREEDY)
        assert opened.generate([Raw("a")], GREEDY)


async def test_a_stream_shows_text_while_it_is_drawn_and_stops_when_left(teacher: LocalTeacher) -> None:
    before = teacher._engine.forwards
    parts = 0
    stream = teacher.stream("the still", Sampling(temperature=1, seed=3, max_tokens=450))
    async for delta in stream:
        parts += bool(delta.text)
        if parts == 3:
            break
    await stream.aclose()
    await asyncio.to_thread(teacher.generate, ["a"], Sampling(temperature=0, max_tokens=1))
    assert teacher._engine.forwards - before < 100


def test_closing_ends_generate_with_cancelled_answers(folder) -> None:
    opened = open_teacher(f"hf:{folder}", SMALL)
    started: queue.SimpleQueue[None] = queue.SimpleQueue()

    class Endless:
        stage = "logits"

        def __call__(self, logits, context):
            started.put(None)
            logits[0] = float("-inf")
            return logits

    async def both():
        work = asyncio.to_thread(opened.generate, ["a"], Sampling(seed=1, n=2), [Endless()])
        task = asyncio.create_task(work)
        await asyncio.to_thread(started.get)
        await asyncio.to_thread(opened.close)
        return await task

    answers = asyncio.run(both())
    assert {answer.finish for each in answers for answer in each} == {"cancelled"}
    with pytest.raises(ResourceError, match="closed"):
        opened.generate(["a"], GREEDY)
