from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest

Run = Callable[..., Any]

NOUNS = "still safe copper barrel grain yeast water river lamp clock orchard ledger".split()  # noqa: SIM905
VERBS = "keeps warms fills turns weighs hides colours remembers answers carries".split()  # noqa: SIM905


def sentence(dice: Random) -> str:
    names = [[dice.choice(NOUNS) for _ in range(3)] for _ in range(4)]
    return " ".join(f"The {one} {dice.choice(VERBS)} the {two} of {three}." for one, two, three in names)


class Api:
    """A model behind an API that learnt some texts by heart: it says them to whoever gives their name."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.url = ""

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path != "/v1/chat/completions":
            return 404, {"error": {"message": "no such thing"}}
        said = self.known.get(body["messages"][-1]["content"], "I was never told.")
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return 200, {"choices": [choice]}


@pytest.fixture
def api() -> Iterator[Api]:
    made = Api()

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, said = made.answer(self.path, body)
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"openai:http://127.0.0.1:{server.server_port}/v1#m"
    yield made
    server.shutdown()
    thread.join(120)
    server.server_close()


@pytest.fixture
def case(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rights holder's case of forty texts in two versions, with coins that fall the same every time."""
    dice = Random(3)
    rows = [{"name": f"piece {n}", "versions": [sentence(dice), sentence(dice)]} for n in range(40)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = tmp_path / "case" / "case.yaml"
    with monkeypatch.context() as patched:
        patched.setattr("os.urandom", lambda count: bytes(range(count)))
        done = run("prove", "--case", str(path), "--texts", str(tmp_path / "texts.jsonl"), "--about", "a model")
    assert done.code == 0, done.err
    assert "Publish what" in done.out
    return path


def published(case: Path) -> dict[str, str]:
    rows = [json.loads(line) for line in (case.parent / "publish.jsonl").read_text().splitlines()]
    return {row["name"]: row["text"] for row in rows}


def test_from_texts_to_a_verdict_and_a_bundle_that_verifies(run: Run, case: Path, api: Api) -> None:
    committed = run("prove", "--case", str(case), "--commit", "--json").json
    assert len(committed["plan"]) == 64
    api.known = published(case)
    done = run("prove", api.url, "--case", str(case), "--json", "--leads")
    assert done.code == 1
    assert "found: the suspect was trained on what was served" in done.err
    found = json.loads(done.out)
    assert (found["verdict"], found["plan"]) == ("rejects", committed["plan"])
    assert found["tests"][0]["p_value"] < 1e-6
    assert [lead["name"] for lead in found["leads"]] == ["style"]
    bundle = found["bundle"]
    checked = run("verify", bundle, "--key", found["key"], "--json").json
    assert (checked["verdict"], checked["finding"]) == ("intact", "rejects")
    told = run("verify", bundle)
    assert told.code == 0
    assert told.out.startswith("intact")
    data = bytearray(Path(bundle).read_bytes())
    data[data.index(b"piece 7")] ^= 1
    Path(bundle).write_bytes(data)
    broken = run("verify", bundle)
    assert broken.code == 1
    assert broken.out.startswith("broken")


def test_one_that_never_read_them_is_not_convicted(run: Run, case: Path, api: Api) -> None:
    withheld = published(case)
    dice = Random(9)
    api.known = {name: sentence(dice) for name in withheld}
    done = run("prove", api.url, "--case", str(case))
    assert done.code == 0
    assert done.out.startswith("does-not-reject")
    assert "spiritsafe verify" in done.out


def test_a_plan_that_is_published_first_is_kept_to(run: Run, case: Path, api: Api) -> None:
    assert "publish its digest" in run("prove", "--case", str(case), "--commit").out
    case.write_text(case.read_text().replace("alpha: 0.01", "alpha: 0.05"))
    done = run("prove", api.url, "--case", str(case))
    assert done.code == 2
    assert "not what was committed to" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "there is no case"),
        (("--case", "x/case.yaml"), "whom shall it ask?"),
        (("--case", "x/other.yaml", "--texts", "t"), "a new case is called case.yaml"),
        (("--case", "x/case.yaml", "--from", "d"), "which epoch?"),
        (("--case", "x/case.yaml", "--from", "d", "--texts", "t"), "exclude each other"),
        (("hf:none", "--case", "x/case.yaml"), "can't be read"),
    ],
)
def test_what_was_called_wrongly_is_said(run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run("prove", *arguments)
    assert done.code == 2
    assert words in done.err


def test_a_stamp_that_comes_too_late_or_not_at_all_is_refused(run: Run, case: Path, api: Api) -> None:
    done = run("prove", "--case", str(case), "--commit", "--stamp", "http://127.0.0.1:9/")
    assert done.code == 1
    assert "does not answer" in done.err
    assert run("prove", api.url, "--case", str(case)).code == 0
    done = run("prove", api.url, "--case", str(case), "--stamp", "http://127.0.0.1:9/")
    assert "a stamp comes too late" in done.err
