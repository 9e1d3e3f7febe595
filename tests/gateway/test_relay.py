"""Requests through a real gateway to a model server that does as it is told, mostly by the official clients."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from spiritsafe.gateway.settings import LimitSettings, TimeoutSettings, UpstreamSettings

ASKED: list[Any] = [{"role": "user", "content": "How is whisky made?"}]
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"where": "cask"}'}}


def asked(client: openai.OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(model="m", messages=ASKED, **fields)


def read(stand: Any, **options: Any) -> tuple[list[Any], openai.APIError | None]:
    """The chunks of a stream and what it ended with."""
    chunks: list[Any] = []
    try:
        chunks.extend(asked(stand.openai(), stream=True, **options))
    except openai.APIError as error:
        return chunks, error
    return chunks, None


def until(true: Any) -> None:
    """Wait for something that another thread does soon."""
    end = time.monotonic() + 200
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_chat_answer_is_the_upstreams_and_is_recorded_before_it_ends(stand: Any) -> None:
    raw = stand.openai().chat.completions.with_raw_response.create(model="m", messages=ASKED, temperature=0.3)
    assert raw.parse().choices[0].message.content == "Copper and patience."
    (exchange,) = stand.exchanges()
    assert raw.headers["x-request-id"] == exchange.exchange_id
    assert (exchange.account_id, exchange.key_id) == (stand.account.account_id, stand.key.key_id)
    assert (exchange.model, exchange.endpoint, exchange.status) == ("m", "/v1/chat/completions", 200)
    assert exchange.messages[0].content == "How is whisky made?"
    assert (exchange.completion, exchange.params) == ("Copper and patience.", {"temperature": 0.3})
    assert (exchange.prompt_tokens, exchange.completion_tokens) == (7, 3)
    assert exchange.ip_prefix is not None
    assert 0 < exchange.latency_ms < 60_000


def test_the_bytes_of_a_request_arrive_as_they_were_sent(stand: Any, upstream: Any) -> None:
    body = b'{ "model":"m", "new_field": {"x":[1.50, 1e3, "\\u00e9"]},\n"messages":[{"role":"user","content":"a"}] }'
    status, answer, _ = stand.call("POST", "/v1/chat/completions", body)
    assert (status, answer["choices"][0]["finish_reason"]) == (200, "stop")
    assert upstream.calls[0][2] == body
    assert stand.exchanges()[0].extra["new_field"] == {"x": [1.5, 1000.0, "é"]}


def test_the_tenants_key_stays_here_and_its_name_too(stand: Any, upstream: Any) -> None:
    asked(stand.openai(), user="ada lovelace")
    headers = {name.lower(): value for name, value in upstream.calls[0][1].items()}
    assert not {"authorization", "x-api-key", "cookie", "x-forwarded-for"} & set(headers)
    assert stand.secret not in str(upstream.calls)
    assert stand.exchanges()[0].extra["user"] == stand.parts.pseudonyms.of("user", "ada lovelace")
    assert "lovelace" not in str(stand.exchanges()[0])


def test_unknown_fields_of_an_answer_pass_too(stand: Any, upstream: Any) -> None:
    upstream.says({**upstream.chat(), "new_thing": {"a": 1}})
    assert asked(stand.openai()).new_thing == {"a": 1}


def test_a_stream_arrives_piece_by_piece_with_its_usage_kept_back_unless_asked_for(stand: Any, upstream: Any) -> None:
    chunks = list(asked(stand.openai(), stream=True))
    assert [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content] == [
        "Copper",
        " and",
        " patience.",
    ]
    assert all(c.usage is None for c in chunks)
    chunks = list(asked(stand.openai(), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 10
    first, second = stand.exchanges()
    assert first.completion == second.completion == "Copper and patience."
    assert (first.prompt_tokens, second.prompt_tokens) == (7, 7)
    sent = upstream.bodies()
    assert sent[0]["stream_options"] == sent[1]["stream_options"] == {"include_usage": True}


def test_other_stream_options_stay_beside_the_wish_for_usage(stand: Any, upstream: Any) -> None:
    list(asked(stand.openai(), stream=True, stream_options={"include_obfuscation": False}))
    assert upstream.bodies()[0]["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_no_piece_of_a_stream_waits_for_the_next_one(stand: Any, upstream: Any) -> None:
    upstream.streams(upstream.chat_stream("a", "b", "c"), gap=0.3)
    arrived = [time.monotonic() for chunk in asked(stand.openai(), stream=True) if chunk.choices]
    assert len(arrived) == 5
    pauses = [after - before for before, after in itertools.pairwise(arrived)]
    assert min(pauses[:3]) > 0.1  # had they been held together, some would come at once


def test_the_last_piece_waits_for_the_record(stand: Any, upstream: Any) -> None:
    stream = asked(stand.openai(), stream=True)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].finish_reason:
            assert stand.exchanges()[0].completion == "Copper and patience."
            break
    stream.close()


def test_tools_are_called_whole_and_in_pieces(stand: Any, upstream: Any) -> None:
    upstream.says(upstream.chat("", tool_calls=[CALL]))
    answer = asked(stand.openai(), tools=[TOOL])
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"where": "cask"}'
    half = {"index": 0, "function": {"arguments": '"cask"}'}}
    begun = {"index": 0, **CALL, "function": {"name": "look", "arguments": '{"where": '}}
    pieces = [upstream.chunk({"tool_calls": [begun]}), upstream.chunk({"tool_calls": [half]})]
    upstream.streams(upstream.data(*pieces, upstream.chunk({}, "tool_calls"), "[DONE]"))
    list(asked(stand.openai(), tools=[TOOL], stream=True))
    for exchange in stand.exchanges():
        assert exchange.messages[-1].extra["tool_calls"] == [CALL]
        assert exchange.extra["answers"] == 1
        assert exchange.params["tools"] == [TOOL]


def test_several_answers_are_all_recorded(stand: Any, upstream: Any) -> None:
    pieces = [upstream.chunk({"content": f"answer {i}"}, index=i) for i in (0, 1)]
    ends = [upstream.chunk({}, "stop", i) for i in (1, 0)]
    upstream.streams(upstream.data(*pieces, *ends, "[DONE]"))
    chunks = list(asked(stand.openai(), n=2, stream=True))
    assert {c.choices[0].index for c in chunks} == {0, 1}
    (exchange,) = stand.exchanges()
    assert exchange.completion == "answer 0"
    assert [turn.content for turn in exchange.messages[-2:]] == ["answer 0", "answer 1"]


def test_counts_that_nobody_gave_are_estimated_and_said_to_be(stand: Any, upstream: Any) -> None:
    upstream.streams(upstream.chat_stream("four", "eight ch", usage=False))
    list(asked(stand.openai(), stream=True))
    (exchange,) = stand.exchanges()
    assert (exchange.prompt_tokens, exchange.completion_tokens) == (5, 3)
    assert exchange.extra["tokens_estimated"] is True


def test_text_completions_and_embeddings_are_relayed_and_recorded(stand: Any) -> None:
    client = stand.openai()
    assert client.completions.create(model="m", prompt="Copper").choices[0].text == " and patience"
    vectors = client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert vectors.data[0].embedding == [0.25, 0.5]
    text, vector = stand.exchanges()
    assert (text.endpoint, text.completion, text.extra["finish"]) == ("/v1/completions", " and patience", "length")
    assert (vector.endpoint, vector.completion, vector.extra["embeddings"]) == ("/v1/embeddings", None, 1)
    assert [turn.content for turn in vector.messages] == ["a", "b"]


class TestAnthropicOverChat:
    """The messages API before an upstream that speaks chat completions."""

    def test_a_message_whole(self, stand: Any, upstream: Any) -> None:
        said = stand.anthropic().messages.create(model="m", max_tokens=9, system="Be brief.", messages=ASKED)
        assert (said.content[0].text, said.stop_reason, said.usage.input_tokens) == (
            "Copper and patience.",
            "end_turn",
            7,
        )
        assert upstream.bodies()[0]["messages"][0] == {"role": "system", "content": "Be brief."}
        (exchange,) = stand.exchanges()
        assert (exchange.endpoint, exchange.system) == ("/v1/messages", "Be brief.")
        assert said._request_id == exchange.exchange_id

    def test_a_message_in_pieces(self, stand: Any) -> None:
        with stand.anthropic().messages.stream(model="m", max_tokens=9, messages=ASKED) as stream:
            assert list(stream.text_stream) == ["Copper", " and", " patience."]
            final = stream.get_final_message()
        assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 3)
        assert stand.exchanges()[0].completion == "Copper and patience."

    def test_tools(self, stand: Any, upstream: Any) -> None:
        upstream.says(upstream.chat("", tool_calls=[CALL]))
        tool: Any = {"name": "look", "input_schema": {"type": "object"}}
        said = stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASKED, tools=[tool])
        assert (said.content[0].name, said.content[0].input) == ("look", {"where": "cask"})
        assert upstream.bodies()[0]["tools"][0]["function"]["name"] == "look"

    def test_errors_have_its_shape(self, stand: Any, upstream: Any) -> None:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            stand.anthropic("ssk_wrong").messages.create(model="m", max_tokens=9, messages=ASKED)
        assert caught.value.body["error"]["code"] == "invalid_key"  # type: ignore[index]
        upstream.says({"error": {"message": "too long", "code": "context_length_exceeded"}}, status=400)
        with pytest.raises(anthropic.BadRequestError, match="too long"):
            stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASKED)

    def test_a_stream_that_breaks_raises(self, stand: Any, upstream: Any) -> None:
        upstream.streams(upstream.chat_stream("a")[:2], cut=True)
        with (
            pytest.raises(anthropic.APIStatusError, match="ended before it was complete"),
            stand.anthropic().messages.stream(model="m", max_tokens=9, messages=ASKED) as stream,
        ):
            list(stream.text_stream)


class TestResponsesOverChat:
    """The responses API before an upstream that speaks chat completions."""

    def test_a_response_whole(self, stand: Any) -> None:
        said = stand.openai().responses.create(model="m", input="How?", instructions="Be brief.")
        assert (said.output_text, said.status) == ("Copper and patience.", "completed")
        (exchange,) = stand.exchanges()
        assert (exchange.endpoint, exchange.system, exchange.completion) == (
            "/v1/responses",
            "Be brief.",
            said.output_text,
        )

    def test_a_response_in_pieces(self, stand: Any) -> None:
        events = list(stand.openai().responses.create(model="m", input="How?", stream=True))
        assert [e.delta for e in events if e.type == "response.output_text.delta"] == ["Copper", " and", " patience."]
        assert events[-1].type == "response.completed"
        assert events[-1].response.output_text == "Copper and patience."
        assert events[-1].response.usage.total_tokens == 10

    def test_tools(self, stand: Any, upstream: Any) -> None:
        upstream.says(upstream.chat("", tool_calls=[CALL]))
        tool: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
        said = stand.openai().responses.create(model="m", input="How?", tools=[tool])
        assert (said.output[0].name, said.output[0].arguments) == ("look", '{"where": "cask"}')

    def test_what_it_can_not_do_is_said(self, stand: Any) -> None:
        with pytest.raises(openai.BadRequestError, match="previous_response_id") as caught:
            stand.openai().responses.create(model="m", input="And then?", previous_response_id="resp_0")
        assert caught.value.code == "unsupported"
        assert stand.exchanges()[0].status == 400


class TestNativeUpstream:
    """Upstreams that speak an API themselves get it as it came."""

    def test_messages(self, make_stand: Any, upstream: Any) -> None:
        stand = make_stand(speaks=("messages",))
        block = {"type": "text", "text": "Natively."}
        message = {"id": "msg_up", "type": "message", "role": "assistant", "model": "m", "content": [block]}
        message |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 4, "output_tokens": 2}}
        upstream.says(message)
        said = stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASKED, extra_body={"new": 1})
        assert (said.id, said.content[0].text) == ("msg_up", "Natively.")
        path, headers, body = upstream.calls[0]
        assert (path, json.loads(body)["new"]) == ("/v1/messages", 1)
        assert headers["anthropic-version"]
        assert stand.exchanges()[0].extra["response_id"] == "msg_up"

    def test_what_an_upstream_speaks_is_found_out_once(self, make_stand: Any, upstream: Any) -> None:
        usual = upstream.script

        def speaks_responses(path: str, body: Any) -> Any:
            if path == "/v1/responses" and not body:
                return upstream.Whole({"error": {"message": "no input"}}, status=400)
            if path == "/v1/responses":
                part = {"type": "output_text", "text": "Natively.", "annotations": []}
                item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [part]}
                return upstream.Whole({"id": "resp_up", "object": "response", "status": "completed", "output": [item]})
            return usual(path, body)

        upstream.script = speaks_responses
        stand = make_stand(speaks="auto")
        for _ in range(2):
            assert stand.openai().responses.create(model="m", input="How?").id == "resp_up"
            said = stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASKED)
            assert said.content[0].text == "Copper and patience."
        probes = [(path, body) for path, _, body in upstream.calls if body == b"{}"]
        assert sorted(probes) == [("/v1/messages", b"{}"), ("/v1/responses", b"{}")]

    def test_an_api_that_it_lacks_is_named(self, make_stand: Any) -> None:
        stand = make_stand(speaks=("messages",))
        with pytest.raises(openai.NotFoundError, match="doesn't offer /v1/chat/completions"):
            asked(stand.openai())


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b'{"messages": [', 400, "invalid_json"),
        (b'{"messages": "\xff"}', 400, "invalid_utf8"),
        (b"[]", 400, "invalid_json"),
        (b'{"model": "m"}', 400, "invalid_request"),
        (b'{"model": "m", "messages": [{}]}', 400, "invalid_request"),
    ],
)
def test_what_can_not_be_read_is_refused(stand: Any, upstream: Any, body: bytes, status: int, reason: str) -> None:
    found, answer, headers = stand.call("POST", "/v1/chat/completions", body)
    assert (found, answer["error"]["code"]) == (status, reason)
    assert headers["x-request-id"].startswith("ex_")
    assert (upstream.calls, stand.exchanges()) == ([], [])


def test_a_body_of_50_megabytes_is_refused_without_being_taken_in(stand: Any, upstream: Any) -> None:
    """Also when it comes in chunks, and the connection can be used for the next request."""
    connection = http.client.HTTPConnection(stand.url.removeprefix("http://"), timeout=120)
    headers = {"authorization": f"Bearer {stand.secret}"}
    piece = b"x" * (1 << 20)
    try:
        for encode in (False, True):
            about = headers | ({"transfer-encoding": "chunked"} if encode else {"content-length": str(50 << 20)})
            pieces = (piece for _ in range(50))
            connection.request("POST", "/v1/chat/completions", pieces, about, encode_chunked=encode)
            response = connection.getresponse()
            assert response.status == 413
            assert json.loads(response.read())["error"]["code"] == "request_too_large"
        good = json.dumps({"model": "m", "messages": ASKED})
        connection.request("POST", "/v1/chat/completions", good, headers)
        response = connection.getresponse()
        assert (response.status, len(response.read()) > 0) == (200, True)
    finally:
        connection.close()
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        ({"body": b"<html>gateway</html>", "kind": "text/html"}, 502, "upstream_content_type"),
        ({"body": b"{oh no", "kind": "application/json"}, 502, "upstream_nonsense"),
        ({"body": b"[]", "kind": "application/json"}, 502, "upstream_nonsense"),
        ({"body": {"object": "nothing"}}, 502, "upstream_nonsense"),
        ({"body": {}, "status": 302, "headers": {"Location": "/elsewhere"}}, 502, "upstream_nonsense"),
        ({"body": b"down", "status": 500}, 502, "upstream_error"),
        ({"body": {"error": {"message": "who are you"}}, "status": 401}, 502, "upstream_auth"),
        (
            {"body": {"error": {"message": "slow"}}, "status": 429, "headers": {"Retry-After": "7"}},
            429,
            "upstream_rate_limit",
        ),
        ({"body": {"detail": [{"msg": "bad n"}]}, "status": 422}, 422, "upstream_rejected"),
        ({"body": {"message": "no such model"}, "status": 404}, 404, "unknown_model"),
        ({"body": {}, "status": 503}, 503, "upstream_overloaded"),
    ],
)
def test_an_upstream_that_fails_or_speaks_nonsense(
    stand: Any, upstream: Any, answer: dict[str, Any], status: int, reason: str
) -> None:
    upstream.says(upstream.Whole(**answer))
    with pytest.raises(openai.APIStatusError) as caught:
        asked(stand.openai())
    assert (caught.value.status_code, caught.value.code) == (status, reason)
    if reason == "upstream_rate_limit":
        assert caught.value.response.headers["retry-after"] == "7"
    (exchange,) = stand.exchanges()
    assert (exchange.status, exchange.extra["fault"], exchange.completion) == (status, reason, None)


def test_an_upstreams_own_error_code_reaches_the_client(stand: Any, upstream: Any) -> None:
    error = {
        "message": "8193 tokens",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
    upstream.says({"error": error}, status=400)
    with pytest.raises(openai.BadRequestError, match="8193 tokens") as caught:
        asked(stand.openai())
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_an_upstream_that_is_not_there(make_stand: Any, upstream: Any) -> None:
    stand = make_stand()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    stand.gateway.upstreams[0].move(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(openai.APIStatusError) as caught:
        asked(stand.openai())
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_unreachable")
    assert stand.exchanges()[0].prompt_tokens == 0


class TestBrokenStreams:
    """What a client sees of a stream that does not end as it should, and what is recorded of it."""

    def broken(self, stand: Any, **options: Any) -> tuple[list[str], openai.APIError]:
        chunks, error = read(stand, **options)
        assert error is not None
        return [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content], error

    @pytest.mark.parametrize("cut", [True, False])
    def test_cut_short(self, stand: Any, upstream: Any, cut: bool) -> None:
        upstream.streams(upstream.chat_stream("Copper", " and")[:3], cut=cut)
        words, error = self.broken(stand)
        assert words == ["Copper", " and"]
        assert error.code == "upstream_cut_short"
        (exchange,) = stand.exchanges()
        assert (exchange.status, exchange.completion) == (502, "Copper and")

    def test_nonsense(self, stand: Any, upstream: Any) -> None:
        upstream.streams([*upstream.chat_stream("Copper")[:2], b"data: {oops\n\n"])
        words, error = self.broken(stand)
        assert (words, error.code) == (["Copper"], "upstream_nonsense")
        assert stand.exchanges()[0].extra["fault"] == "upstream_nonsense"

    def test_its_own_error(self, stand: Any, upstream: Any) -> None:
        upstream.streams([*upstream.chat_stream("Copper")[:2], *upstream.data({"error": {"message": "out of memory"}})])
        words, error = self.broken(stand)
        assert (words, error.code) == (["Copper"], "upstream_error")
        assert "out of memory" in error.message

    def test_no_stream_at_all(self, stand: Any, upstream: Any) -> None:
        upstream.says(upstream.chat())
        words, error = self.broken(stand)
        assert (words, error.code) == ([], "upstream_content_type")

    def test_the_end_heard_and_the_connection_lost(self, stand: Any, upstream: Any) -> None:
        upstream.streams(upstream.chat_stream("Copper", usage=False)[:-1], cut=True)
        chunks = list(asked(stand.openai(), stream=True))
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert stand.exchanges()[0].status == 200

    def test_the_end_heard_and_the_connection_kept(self, stand: Any, upstream: Any) -> None:
        upstream.streams(upstream.chat_stream("Copper"), hang=True)
        assert len(list(asked(stand.openai(), stream=True))) == 3


def test_a_client_that_leaves_stops_the_upstream_and_is_recorded(stand: Any, upstream: Any) -> None:
    upstream.streams(upstream.chat_stream(*(f"{i} " for i in range(100))), gap=0.05)
    stream = asked(stand.openai(), stream=True)
    for _ in range(3):
        next(stream)
    stream.close()
    until(lambda: upstream.gone == 1)
    until(stand.exchanges)
    (exchange,) = stand.exchanges()
    assert (exchange.status, exchange.extra["fault"]) == (499, "client_gone")
    assert exchange.completion.startswith("0 1 ")
    assert exchange.extra["tokens_estimated"]


def test_a_client_that_leaves_before_anything_came_stops_the_upstream_too(stand: Any, upstream: Any) -> None:
    upstream.says(upstream.chat(), delay=30)
    with pytest.raises(openai.APITimeoutError):
        asked(stand.openai(timeout=0.5))
    until(lambda: upstream.gone == 1)
    until(stand.exchanges)
    assert stand.exchanges()[0].status == 499


class TestTimeouts:
    """How long the gateway waits for an upstream."""

    @pytest.fixture
    def hasty(self, make_stand: Any) -> Any:
        return make_stand(timeouts=TimeoutSettings(first_byte="400ms", idle="400ms", total="1500ms"))

    @pytest.mark.parametrize("stream", [True, False])
    def test_for_the_first_byte(self, hasty: Any, upstream: Any, stream: bool) -> None:
        upstream.says(upstream.chat(), delay=30)
        with pytest.raises(openai.APIStatusError) as caught:
            asked(hasty.openai(), stream=stream)
        assert (caught.value.status_code, caught.value.code) == (504, "timeout_first_byte")
        assert hasty.exchanges()[0].status == 504
        until(lambda: upstream.gone == 1)

    def test_for_the_next_byte(self, hasty: Any, upstream: Any) -> None:
        upstream.streams(upstream.chat_stream("Copper")[:2], hang=True)
        with pytest.raises(openai.APIError) as caught:
            list(asked(hasty.openai(), stream=True))
        assert caught.value.code == "timeout_idle"
        assert (hasty.exchanges()[0].status, hasty.exchanges()[0].completion) == (504, "Copper")

    def test_for_all_of_it(self, hasty: Any, upstream: Any) -> None:
        upstream.streams(upstream.chat_stream(*(f"{i} " for i in range(100))), gap=0.1)
        with pytest.raises(openai.APIError) as caught:
            list(asked(hasty.openai(), stream=True))
        assert caught.value.code == "timeout_total"

    def test_for_a_connection(self, make_stand: Any) -> None:
        """A listener whose queue is full takes no connection: the next one waits."""
        stand = make_stand(timeouts=TimeoutSettings(connect="300ms"))
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for waiting in (first, second):
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            stand.gateway.upstreams[0].move(f"http://127.0.0.1:{full.getsockname()[1]}")
            with pytest.raises(openai.APIStatusError) as caught:
                asked(stand.openai())
        assert (caught.value.status_code, caught.value.code) == (504, "timeout_connect")


class TestRecordUnwritable:
    """When the record takes nothing, nothing is answered, and it says so."""

    @pytest.fixture
    def full(self, make_stand: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        """A gateway whose disk is full: writes to its journal fail as they would then."""
        import errno

        from spiritsafe.record import journal

        stand = make_stand()

        def no_space(*_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(journal, "write_all", no_space)
        stand.relieve = monkeypatch.undo
        return stand

    def test_whole(self, full: Any) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            asked(full.openai())
        assert (caught.value.status_code, caught.value.code) == (503, "record_unwritable")
        assert "off the record" in caught.value.message
        assert full.exchanges() == []

    def test_in_a_stream_there_is_an_error_and_no_end(self, full: Any) -> None:
        chunks, error = read(full)
        assert error is not None
        assert error.code == "record_unwritable"
        assert "".join(c.choices[0].delta.content for c in chunks) == "Copper and patience."
        assert {c.choices[0].finish_reason for c in chunks} == {None}
        assert full.exchanges() == []

    def test_the_next_requests_are_refused_before_the_model_works(self, full: Any, upstream: Any) -> None:
        for _ in range(3):
            with pytest.raises(openai.APIStatusError) as caught:
                asked(full.openai())
            assert caught.value.code == "record_unwritable"
        assert len(upstream.calls) == 1

    def test_once_there_is_space_again_it_goes_on(self, full: Any) -> None:
        with pytest.raises(openai.APIStatusError):
            asked(full.openai())
        full.relieve()

        def answered() -> bool:
            try:
                return bool(asked(full.openai()).choices)
            except openai.APIStatusError:
                return False

        until(answered)
        assert len(full.exchanges()) == 1


def test_a_request_nested_beyond_reason_is_refused(stand: Any) -> None:
    deep = b'{"model":"m","messages":[],"x":' + b"[" * 900 + b"]" * 900 + b"}"
    status, answer, _ = stand.call("POST", "/v1/chat/completions", deep)
    assert status in (200, 400), answer


def test_too_many_at_once_are_turned_away_and_then_let_in(make_stand: Any, upstream: Any) -> None:
    stand = make_stand(limits=LimitSettings(in_flight_per_key=1))
    upstream.streams(upstream.chat_stream("a", "b"), gap=0.2)
    first = asked(stand.openai(), stream=True)
    next(first)
    with pytest.raises(openai.RateLimitError) as caught:
        asked(stand.openai())
    assert caught.value.code == "too_many_in_flight"
    list(first)
    assert list(asked(stand.openai(), stream=True))


def test_limits_of_a_key_are_told_and_kept(stand: Any) -> None:
    secret = stand.new_key(requests_per_minute=1, tokens_per_minute=1000)
    first = stand.openai(secret).chat.completions.with_raw_response.create(model="m", messages=ASKED)
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 1000
    with pytest.raises(openai.RateLimitError) as caught:
        asked(stand.openai(secret))
    assert caught.value.code == "requests_per_minute"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60
    assert len(stand.exchanges()) == 1


def test_content_that_is_not_kept(make_stand: Any, tmp_path: Path) -> None:
    from spiritsafe.gateway.settings import RecordSettings

    stand = make_stand(record=RecordSettings(content="none"))
    asked(stand.openai(), temperature=0.3, tools=[TOOL], extra_body={"secret_note": "the still is in the barn"})
    (exchange,) = stand.exchanges()
    assert (exchange.content, exchange.messages, exchange.completion) == ("none", None, None)
    assert exchange.params == {"temperature": 0.3, "tools": "list of 1"}
    journal = b"".join(path.read_bytes() for path in (tmp_path / "data" / "record").iterdir())
    assert not any(word in journal for word in (b"whisky", b"Copper", b"barn", b"look"))
    with pytest.raises(openai.BadRequestError) as caught:
        asked(stand.openai(), store=True)
    assert caught.value.code == "content_not_kept"


def test_the_mark_that_the_model_server_names_is_recorded_and_not_told_to_the_client(
    make_stand: Any, upstream: Any
) -> None:
    settings = UpstreamSettings(url=upstream.url, speaks=("chat",), tell_tenant=True)
    stand = make_stand(upstreams=(settings,))
    upstream.says(upstream.chat("A marked answer."), headers={"x-spiritsafe-mark": "kgw-k1-g0.25-d2@3"})
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    status, _, headers = stand.call("POST", "/v1/chat/completions", body, x_spiritsafe_tenant="somebody else")
    assert status == 200
    assert "x-spiritsafe-mark" not in headers
    assert [each.mark_id for each in stand.exchanges()] == ["kgw-k1-g0.25-d2@3"]
    named = {name.lower(): value for name, value in upstream.calls[-1][1].items()}
    assert named["x-spiritsafe-tenant"] == stand.account.account_id
