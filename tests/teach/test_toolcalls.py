from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.teach.grammar import advance, ended, start
from spiritsafe.teach.toolcalls import CallReader, check_tools, describe, forced_tools, language, prepared
from spiritsafe.teach.types import Chat

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
OTHER = {"type": "function", "function": {"name": "now"}}
ASK = ({"role": "user", "content": "How is it in Oslo?"},)
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call>'


def read(text: str, cuts: list[int], names=("weather", "now")):
    reader, shown, calls = CallReader(names), "", []
    edges = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    for begin, end in pairwise(edges):
        out, new = reader.push(text[begin:end])
        shown, calls = shown + out, calls + new
    out, new = reader.push("", final=True)
    return shown + out, [(call.name, json.loads(call.arguments)) for call in calls + new]


@given(st.lists(st.integers(0, 200), max_size=12))
def test_calls_are_found_however_the_text_is_cut(cuts) -> None:
    text = f"Let me see. \n{CALL}\n<tool_call>" + '{"name": "now"}</tool_call>'
    assert read(text, cuts) == ("Let me see.", [("weather", {"city": "Oslo"}), ("now", {})])


@given(st.text("<tool_cal> \n{}x", max_size=40), st.lists(st.integers(0, 40), max_size=8))
def test_text_without_a_call_comes_through_unchanged(text, cuts) -> None:
    assert read(text, cuts) == (text, [])


@pytest.mark.parametrize("inner", ["not json", "[]", '{"name": "unknown", "arguments": {}}', '{"arguments": {}}'])
def test_what_is_no_call_is_text(inner) -> None:
    text = f"a <tool_call>{inner}</tool_call> b"
    assert read(text, [5, 20]) == (text, [])


def test_text_is_shown_before_a_call_has_closed() -> None:
    reader = CallReader(("weather",))
    assert reader.push("Well. <tool")[0] == "Well."
    assert reader.push("_call>{")[0] == ""


def test_every_call_has_an_id_of_its_own() -> None:
    _, calls = CallReader(("weather",)).push(CALL + CALL)
    assert len({call.id for call in calls}) == 2


def test_arguments_already_written_as_text_stay_text() -> None:
    _, (call,) = CallReader(("now",)).push('<tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>')
    assert call.arguments == '{"a": 1}'


def test_a_template_without_tools_gets_them_as_text() -> None:
    history = (
        {"role": "developer", "content": "Be brief."},
        *ASK,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    )
    system, user, call, result = prepared(Chat(history, (TOOL,)), template_has_tools=False)
    assert system == {"role": "system", "content": f"Be brief.\n\n{describe((TOOL,))}"}
    assert user == ASK[0]
    assert call == {"role": "assistant", "content": CALL}
    assert result == {"role": "user", "content": "<tool_response>\nrain\n</tool_response>"}


def test_without_a_system_message_the_tools_make_one_and_with_none_they_are_not_told() -> None:
    assert prepared(Chat(ASK, (TOOL,)), template_has_tools=False)[0] == {"role": "system", "content": describe((TOOL,))}
    assert prepared(Chat(ASK, (TOOL,), "none"), template_has_tools=False) == [*ASK]


def test_a_template_with_tools_gets_calls_with_arguments_as_objects() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    (message,) = prepared(Chat(({"role": "assistant", "tool_calls": [call]},), (TOOL,)), template_has_tools=True)
    assert message["tool_calls"][0]["function"]["arguments"] == {"city": "Oslo"}
    assert message["content"] == ""


def test_text_parts_are_joined_and_other_parts_refused() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert prepared(Chat(({"role": "user", "content": parts},)), template_has_tools=True)[0]["content"] == "a\nb"
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
    with pytest.raises(InputError, match="text alone"):
        prepared(Chat((image,)), template_has_tools=True)


@pytest.mark.parametrize(
    "message", [{"content": "x"}, {"role": "assistant", "tool_calls": ["x"]}, {"role": "user", "content": 5}]
)
def test_a_message_that_makes_no_sense_is_refused(message) -> None:
    with pytest.raises(InputError):
        prepared(Chat((message,)), template_has_tools=False)


def test_which_tools_are_forced() -> None:
    named = {"type": "function", "function": {"name": "now"}}
    tools = (TOOL, OTHER)
    assert forced_tools(Chat(ASK, tools)) == ()
    assert forced_tools(Chat(ASK, tools, "auto")) == ()
    assert forced_tools(Chat(ASK, tools, "none")) == ()
    assert forced_tools(Chat(ASK, tools, "required")) == tools
    assert forced_tools(Chat(ASK, tools, named)) == (OTHER,)


@pytest.mark.parametrize(
    ("tools", "choice", "message"),
    [
        ((TOOL,), {"type": "function", "function": {"name": "other"}}, r"names no tool of this request.*weather"),
        ((), "required", "none were given"),
        ((TOOL,), "always", "names no tool"),
        (({"type": "function"},), None, "function with a name"),
        (({"type": "function", "function": {"name": "f", "parameters": []}},), None, "JSON Schema"),
    ],
)
def test_tools_that_make_no_sense_are_refused(tools, choice, message) -> None:
    with pytest.raises(InputError, match=message):
        check_tools(Chat(ASK, tools, choice))


def test_a_forced_call_is_a_language_whose_texts_are_read_as_that_call() -> None:
    symbol = language(Chat(ASK, (TOOL, OTHER), "required"))
    assert symbol is not None
    assert ended(advance(start(symbol), CALL.encode()))
    assert not advance(start(symbol), b"The weather")
    assert not advance(start(symbol), CALL.replace("city", "town").encode())


def test_response_formats() -> None:
    assert language(Chat(ASK)) is None
    assert language(Chat(ASK, response_format={"type": "text"})) is None
    thing = language(Chat(ASK, response_format={"type": "json_object"}))
    assert thing is not None
    assert ended(advance(start(thing), b'{"a": [1]}'))
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["yes", "no"]}}}
    answer = language(Chat(ASK, response_format=schema))
    assert answer is not None
    assert ended(advance(start(answer), b'"no"'))
    with pytest.raises(InputError, match="json_schema"):
        language(Chat(ASK, response_format={"type": "xml"}))
