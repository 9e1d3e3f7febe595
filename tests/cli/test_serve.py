from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

UPSTREAM = "http://127.0.0.1:9"

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Begin ``spiritsafe serve`` with these arguments in an empty folder."""
    begun: list[subprocess.Popen[bytes]] = []

    def make(*arguments: str) -> subprocess.Popen[bytes]:
        program = "from spiritsafe.cli import main; main()"
        command = [sys.executable, "-c", program, "serve", *arguments]
        begun.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return begun[-1]

    yield make
    for process in begun:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[bytes], words: bytes) -> bytes:
    assert process.stdout is not None
    said = b""
    while words not in said and (line := process.stdout.readline()):
        said += line
    if words not in said:
        assert process.stderr is not None
        pytest.fail(f"it said {said!r}, then ended: {process.stderr.read()!r}")
    return said


def test_the_first_start_says_how_to_make_an_account_and_a_key(start: Start, tmp_path: Path) -> None:
    process = start("--upstream", UPSTREAM, "--port", "0")
    said = until(process, b"any OpenAI or Anthropic client").decode()
    assert f"before {UPSTREAM}." in said
    assert "spiritsafe account add NAME\n" in said
    assert "spiritsafe key add NAME\n" in said
    url = said.split("stands at ")[1].split(" ")[0]
    with urllib.request.urlopen(f"{url}/login", timeout=120) as page:  # the console stands at the gateway's root
        assert b"<html" in page.read().lower()
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0
    assert (tmp_path / "spiritsafe-data" / "keys" / "admin.token").exists()


def test_options_override_the_file_and_json_is_for_machines(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "safe.yaml"
    settings = {"port": 1, "data": "elsewhere", "record": {"roll_rows": 5}, "watch": {"enabled": False}}
    config.write_text(json.dumps({**settings, "upstreams": [{"url": "http://127.0.0.1:8"}]}))
    process = start("--config", str(config), "--upstream", UPSTREAM, "--port", "0", "--data", "here", "--json")
    said = json.loads(until(process, b"}\n"))
    assert (said["data"], said["upstreams"], said["watcher"]) == ("here", [UPSTREAM], None)
    assert said["port"] > 1
    assert Path(tmp_path, said["admin_token"]).exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "there is no model server to stand before"),
        (("--upstream", "localhost"), 2, "is no address of a server"),
        (("--upstream-key-env", "KEY"), 2, "--upstream-key-env without --upstream"),
        (("--config", "none.yaml"), 2, "none.yaml: can't be read"),
        (("--upstream", UPSTREAM, "--content", "some"), 2, "--content"),
        (("--upstream", UPSTREAM, "--reference", "none"), 2, "spiritsafe calibrate LOG --out FILE"),
    ],
)
def test_what_was_called_wrongly_is_said(
    run: Callable[..., Any], arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run("serve", *arguments)
    assert done.code == code
    assert words in done.err


def test_a_share_of_twins_commits_to_its_key_at_once(start: Start, tmp_path: Path) -> None:
    process = start("--upstream", UPSTREAM, "--port", "0", "--twins", "0.02", "--json")
    until(process, b"}")
    assert (tmp_path / "spiritsafe-data" / "twins" / "keys" / "twins.key").exists()
    assert list((tmp_path / "spiritsafe-data" / "twins" / "record").glob("journal-*"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_a_wrong_policy_is_told_with_its_line(run: Callable[..., Any], tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\nfdr: 0.01\naccuses_from: throttle\nappeal: x\nruls: []\n")
    done = run("serve", "--upstream", UPSTREAM, "--policy", str(policy), "--port", "0")
    assert done.code == 2
    assert "policy.yaml:5: unknown key 'ruls'. Did you mean 'rules'?" in done.err
