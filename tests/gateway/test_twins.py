from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest

from spiritsafe.errors import UsageError
from spiritsafe.gateway.settings import RecordSettings, TwinSettings
from spiritsafe.protect.twins import coin, commitment, commitments_in, epoch_key, pairs_in
from spiritsafe.record.keys import read_secret
from spiritsafe.record.reader import read
from spiritsafe.record.verify import verify

ALL = TwinSettings(share=1.0)
ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "why copper?"}], "temperature": 0.7}


def numbered(upstream: Any, *, gap: float = 0.0) -> None:
    """Let every answer be another: the first is "0 Copper", the next "1 Copper"."""
    numbers = count()

    def script(path: str, body: dict[str, Any]) -> Any:
        word = f"{next(numbers)}"
        if body.get("stream"):
            return upstream.Events(upstream.chat_stream(word, " Copper"), gap=gap)
        return upstream.Whole(upstream.chat(f"{word} Copper"), delay=gap)

    upstream.script = script


def settled(stand: Any, pairs: int, lost: int = 0) -> list[Any]:
    """The pairs in the twins' log, once there are so many."""
    for _ in range(200):
        _, _, gauges = metrics(stand)
        if (gauges["kept"], gauges["lost"]) == (pairs, lost):
            break
        time.sleep(0.05)
    assert (gauges["kept"], gauges["lost"]) == (pairs, lost)
    return list(pairs_in(exchange for _, exchange in read(stand.settings.folder / "twins" / "record")))


def metrics(stand: Any) -> tuple[int, str, dict[str, float]]:
    connection = http.client.HTTPConnection(stand.url.removeprefix("http://"), timeout=120)
    connection.request("GET", "/metrics")
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    gauges = {
        line.split()[0].removeprefix("spiritsafe_twins_"): float(line.split()[1])
        for line in text.splitlines()
        if line.startswith("spiritsafe_twins_")
    }
    return response.status, text, gauges


def key_of(stand: Any, epoch: str) -> bytes:
    return epoch_key(read_secret(stand.settings.folder / "twins" / "keys" / "twins.key"), epoch)


@pytest.mark.parametrize("stream", [False, True])
def test_the_coin_says_which_of_two_answers_is_heard(make_stand, upstream, stream: bool) -> None:
    numbered(upstream)
    stand = make_stand(twins=ALL)
    client, heard = stand.openai(), []
    for _ in range(12):
        if stream:
            chunks = client.chat.completions.create(**ASK, stream=True)
            heard.append("".join(c.choices[0].delta.content or "" for c in chunks if c.choices))
        else:
            heard.append(client.chat.completions.create(**ASK).choices[0].message.content)
    pairs = {pair.pair_id: pair for pair in settled(stand, 12)}
    recorded = stand.exchanges()
    assert [one.completion for one in recorded] == heard
    for exchange, text in zip(recorded, heard, strict=True):
        pair = pairs[exchange.exchange_id]
        assert pair.answers[coin(key_of(stand, pair.epoch), pair.pair_id)] == text
        assert pair.answers[0] != pair.answers[1]
        assert pair.messages == ({"role": "user", "content": "why copper?"},)
        assert pair.tenant == stand.account.account_id
    assert {coin(key_of(stand, one.epoch), name) for name, one in pairs.items()} == {0, 1}
    assert metrics(stand)[2]["tokens"] == 12 * 3


def test_both_requests_are_the_same_bytes_and_only_one_is_on_the_record(make_stand, upstream) -> None:
    stand = make_stand(twins=ALL)
    stand.openai().chat.completions.create(**ASK)
    settled(stand, 1)
    bodies = [body for path, _, body in upstream.calls if path.endswith("completions")]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    (exchange,) = stand.exchanges()
    assert exchange.twin_of is None


def test_the_key_is_committed_to_before_the_first_pair_in_a_log_that_verifies(make_stand, upstream) -> None:
    numbered(upstream)
    stand = make_stand(twins=ALL)
    stand.openai().chat.completions.create(**ASK)
    (pair,) = settled(stand, 1)
    rows = [exchange for _, exchange in read(stand.settings.folder / "twins" / "record")]
    committed = commitments_in(rows)[pair.epoch]
    assert rows[0].extra["commitment"] == committed.digest == commitment(key_of(stand, pair.epoch), pair.epoch)
    assert committed.time <= pair.time
    assert verify(stand.settings.folder / "twins" / "record").verdict == "intact"


def test_a_client_that_leaves_has_no_say_in_which_pairs_are_kept(make_stand, upstream) -> None:
    numbered(upstream, gap=0.3)
    stand = make_stand(twins=ALL)
    connection = http.client.HTTPConnection(stand.url.removeprefix("http://"), timeout=120)
    headers = {"authorization": f"Bearer {stand.secret}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps({**ASK, "stream": True}).encode(), headers)
    connection.getresponse().read(10)
    connection.close()
    (pair,) = settled(stand, 1)
    assert sorted(pair.answers) == ["0 Copper", "1 Copper"]
    (exchange,) = stand.exchanges()
    assert exchange.extra["fault"] == "client_gone"


def test_a_pair_of_which_one_fails_is_dropped_and_the_client_gets_what_its_slot_got(make_stand, upstream) -> None:
    numbers = count()

    def script(path: str, body: dict[str, Any]) -> Any:
        if next(numbers) % 2:
            return upstream.Whole({"error": {"message": "out of breath"}}, status=503)
        return upstream.Whole(upstream.chat("fine"))

    upstream.script = script
    stand = make_stand(twins=ALL)
    outcomes = []
    for _ in range(10):
        try:
            outcomes.append(stand.openai().chat.completions.create(**ASK).choices[0].message.content)
        except openai.APIStatusError as error:
            outcomes.append(error.status_code)
    assert set(outcomes) == {"fine", 503}
    assert settled(stand, 0, lost=10) == []


@pytest.mark.parametrize(
    "change", [{"temperature": 0}, {"n": 2}, {"seed": 4}, {"tools": [{"type": "function", "function": {"name": "f"}}]}]
)
def test_a_request_whose_answers_can_not_be_twins_goes_once(make_stand, upstream, change: dict[str, Any]) -> None:
    stand = make_stand(twins=ALL)
    stand.call("POST", "/v1/chat/completions", {**ASK, **change})
    stand.call("POST", "/v1/embeddings", {"model": "m", "input": "copper"})
    assert len(upstream.calls) == 2


def test_an_api_that_is_translated_has_twins_as_well(make_stand, upstream) -> None:
    numbered(upstream)
    stand = make_stand(twins=ALL)
    said = stand.anthropic().messages.create(model="m", max_tokens=9, messages=ASK["messages"]).content[0].text
    with stand.anthropic().messages.stream(model="m", max_tokens=9, messages=ASK["messages"]) as stream:
        streamed = stream.get_final_text()
    pairs = sorted(settled(stand, 2), key=lambda pair: pair.pair_id)
    served = [pair.answers[coin(key_of(stand, pair.epoch), pair.pair_id)] for pair in pairs]
    assert served == [said, streamed]


def test_about_the_share_asked_for_is_drawn(make_stand, upstream) -> None:
    stand = make_stand(twins=TwinSettings(share=0.3))
    for _ in range(60):
        stand.call("POST", "/v1/chat/completions", ASK)
    drawn = len(upstream.calls) - 60
    assert 4 <= drawn <= 36


def test_without_a_share_there_is_no_twins_log(make_stand) -> None:
    stand = make_stand()
    stand.call("POST", "/v1/chat/completions", ASK)
    assert not (stand.settings.folder / "twins").exists()


def test_a_gateway_that_keeps_no_text_keeps_no_twins(make_stand) -> None:
    from spiritsafe.gateway.twins import Twins

    stand = make_stand(record=RecordSettings(content="sketch"))
    settings = msgspec.structs.replace(stand.settings, twins=ALL)
    with pytest.raises(UsageError, match="twins are texts"):
        Twins(settings, None)  # type: ignore[arg-type]


def test_the_real_process_takes_the_option(serve: Callable[..., Any], upstream, tmp_path: Path) -> None:
    numbered(upstream)
    served = serve(upstreams=[{"url": upstream.url, "speaks": ["chat"]}], twins={"share": 1.0})
    from spiritsafe.store import open_store

    with open_store(f"sqlite:///{served.data / 'spiritsafe.db'}") as store:
        _, secret = store.add_key(store.add_account("t").account_id)
    with openai.OpenAI(api_key=secret, base_url=f"{served.url}/v1", max_retries=0) as client:
        for _ in range(3):
            client.chat.completions.create(**ASK)
    log = served.data / "twins" / "record"
    for _ in range(100):
        if len(list(pairs_in(exchange for _, exchange in read(log)))) == 3:
            break
        time.sleep(0.05)
    assert served.end() == 0
    assert len(list(pairs_in(exchange for _, exchange in read(log)))) == 3
    assert verify(log).verdict == "intact"
