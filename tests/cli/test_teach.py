from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from spiritsafe.teach import server

CHUNKS = [
    {"choices": [{"index": 0, "delta": {"content": "The safe "}}]},
    {"choices": [{"index": 0, "delta": {"content": "keeps it."}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 5}},
]


@pytest.fixture
def spec():
    """A teacher behind a small server that always says the same, and keeps what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if asked[-1].get("stream"):
                body = (
                    b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in CHUNKS) + b"data: [DONE]\n\n"
                )
            else:
                message = {"role": "assistant", "content": "The safe keeps it."}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                body = json.dumps({"choices": choices, "usage": CHUNKS[-1]["usage"]}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"openai:http://127.0.0.1:{http.server_port}/v1#far", asked
        http.shutdown()
        thread.join()


def test_ask_prints_the_answer(run, spec) -> None:
    name, asked = spec
    done = run("teach", "ask", name, "Who keeps it?", "--system", "Be brief.", "--seed", "3", "--max-tokens", "9")
    assert (done.code, done.out) == (0, "The safe keeps it.\n")
    assert asked[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who keeps it?"},
    ]
    assert (asked[0]["seed"], asked[0]["max_tokens"], asked[0]["temperature"]) == (3, 9, 0.7)


def test_ask_for_machines(run, spec) -> None:
    assert run("teach", "ask", spec[0], "Who keeps it?", "--json").json == {
        "model": "far",
        "text": "The safe keeps it.",
        "finish": "stop",
        "prompt_tokens": 4,
        "completion_tokens": 5,
    }


def test_ask_reads_standard_input(run, spec, monkeypatch, tmp_path) -> None:
    path = tmp_path / "prompt"
    path.write_text("From a pipe")
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert run("teach", "ask", spec[0], "-").code == 0
    assert spec[1][0]["messages"][0]["content"] == "From a pipe"


def test_nothing_to_ask_and_no_such_teacher_are_wrong_usage(run, spec) -> None:
    done = run("teach", "ask", spec[0], "  ")
    assert done.code == 2
    assert "nothing to ask" in done.err
    done = run("teach", "ask", "nonsense", "x")
    assert done.code == 2
    assert "smollm2, hf:FOLDER" in done.err


@pytest.mark.parametrize("json_wanted", [False, True])
def test_serve_says_where_it_answers(run, monkeypatch, json_wanted) -> None:
    def served(spec, *, host, port, options, marker, ready) -> None:
        assert (spec, host, port, options.threads, options.batch) == ("smollm2", "127.0.0.1", 81, 1, 4)
        assert marker is None
        ready("smollm2", port)

    monkeypatch.setattr(server, "serve", served)
    arguments = ["teach", "serve", "smollm2", "--port", "81", "--threads", "1", "--batch", "4"]
    done = run(*arguments, *(["--json"] if json_wanted else []))
    if json_wanted:
        assert done.json == {"port": 81, "model": "smollm2"}
    else:
        assert done.out == "smollm2 answers at http://127.0.0.1:81/v1\n"


def test_serve_gives_a_far_teacher_a_near_port(spec) -> None:
    command = [
        sys.executable,
        "-c",
        "from spiritsafe.cli import main; main()",
        "teach",
        "serve",
        spec[0],
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = json.loads(process.stdout.readline())["port"]
        body = json.dumps({"model": "far", "messages": [{"role": "user", "content": "Who?"}]}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/chat/completions", body, timeout=120) as response:
            answer = json.load(response)
        process.terminate()
    assert answer["choices"][0]["message"]["content"] == "The safe keeps it."
    assert answer["usage"]["completion_tokens"] == 5
