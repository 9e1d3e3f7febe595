from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from spiritsafe.distill.verifiers import code
from spiritsafe.distill.verifiers.code import Code, code_of

RIGHT = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"


def test_code_that_passes_its_tests_is_right() -> None:
    assert Code()("", RIGHT, TESTS).right
    assert Code()("", "def add(a, b): return a + b", TESTS).right


@pytest.mark.parametrize(
    ("answer", "because"),
    [
        (RIGHT.replace("a + b", "a - b"), "AssertionError"),
        ("def add(a, b) return a", "SyntaxError"),
        ("add = None\nwhile True: pass", "did not end within"),
        ("add = bytearray(1 << 32)", "MemoryError"),
    ],
)
def test_code_that_fails_says_why(answer: str, because: str) -> None:
    verdict = Code(seconds=2.0)("", answer, TESTS)
    assert not verdict.right
    assert because in verdict.because


def test_nothing_the_code_starts_outlives_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    answer = (
        "import subprocess, sys\n"
        f"late = 'import time; time.sleep(1.5); open(' + repr({str(mark)!r}) + ', chr(119))'\n"
        "subprocess.Popen([sys.executable, '-c', late])\n"
        "def add(a, b): return a + b"
    )
    assert Code(seconds=5.0)("", answer, TESTS).right
    time.sleep(2.5)
    assert not mark.exists()


def test_the_network_is_out_of_reach() -> None:
    if not code._without_network():
        pytest.skip("this system does not let us make a network namespace")
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 1)"
        verdict = Code()("", reach, "")
    assert not verdict.right
    assert "Error" in verdict.because


def test_secrets_of_the_environment_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert Code()("", "import os\nseen = dict(os.environ)", "assert 'OPENAI_API_KEY' not in seen").right


def test_several_blocks_are_run_together() -> None:
    assert code_of("```py\na = 1\n```\nand\n```\nb = 2\n```").split() == ["a", "=", "1", "b", "=", "2"]
