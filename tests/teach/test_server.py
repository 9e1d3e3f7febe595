from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.teach.server import main, serve


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "spiritsafe.teach.server", *arguments, "--threads", "1"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_one_line_of_json_says_it_is_ready_and_the_end_of_stdin_ends_it(folder) -> None:
    with start(f"hf:{folder}", "--stop-with-stdin") as process:
        said = json.loads(process.stdout.readline())
        assert said["model"] == "tiny"
        with urllib.request.urlopen(f"http://127.0.0.1:{said['port']}/healthz", timeout=120) as response:
            assert json.load(response)["status"] == "ok"
        process.stdin.close()
        assert process.wait(120) == 0
        assert process.stdout.read() == ""


def test_it_ends_with_sigterm() -> None:
    with start("openai:http://127.0.0.1:9/v1#far") as process:
        assert process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) in (0, -signal.SIGTERM)


@pytest.fixture
def taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(taken) -> None:
    with pytest.raises(ResourceError, match=rf"127\.0\.0\.1:{taken}: can't listen"):
        serve("hf:/nowhere", port=taken, ready=lambda *_: None)


def test_errors_are_one_line_with_a_remedy_and_an_exit_code(taken, capsys) -> None:
    assert main(["hf:/nowhere"]) == 2
    assert main(["nonsense"]) == 2
    assert main(["hf:/nowhere", "--port", str(taken)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("spiritsafe: ") for line in lines)
