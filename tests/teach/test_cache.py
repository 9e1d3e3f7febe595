from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.teach import cache as cache_module
from spiritsafe.teach.cache import MANIFEST, cache_folder, converted, file_digest


@pytest.fixture
def own(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("SPIRITSAFE_CACHE", str(tmp_path / "own"))
    return tmp_path / "own"


def test_where_the_cache_is(monkeypatch) -> None:
    monkeypatch.setenv("SPIRITSAFE_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("SPIRITSAFE_CACHE")
    assert cache_folder() == Path("/b/spiritsafe")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert cache_folder() == Path("/home/x/.cache/spiritsafe")


def test_digest(tmp_path) -> None:
    (tmp_path / "f").write_bytes(b"spirit" * 1000)
    assert file_digest(tmp_path / "f") == hashlib.sha256(b"spirit" * 1000).hexdigest()


def test_weights_come_out_as_they_went_in(own, gguf_file, plain) -> None:
    digest = file_digest(gguf_file)
    folder = converted(gguf_file, digest)
    weights = load_file(folder / "model.safetensors")
    for name, weight in plain.state_dict().items():
        if name in weights:
            torch.testing.assert_close(weights[name], weight.to(torch.bfloat16))
    assert "model.embed_tokens.weight" in weights
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest == {"source": "small.gguf", "sha256": digest, "form": 2, "dtype": "bfloat16"}
    assert {path.suffix for path in folder.parent.iterdir()} == {folder.suffix, ".lock"}


def test_it_is_converted_once(own, gguf_file, monkeypatch) -> None:
    first = converted(gguf_file, "d" * 64)
    monkeypatch.setattr(cache_module, "_convert", lambda *_: pytest.fail("converted again"))
    assert converted(gguf_file, "d" * 64) == first


def test_a_folder_without_a_manifest_is_made_anew(own, gguf_file) -> None:
    folder = converted(gguf_file, "d" * 64)
    (folder / MANIFEST).unlink()
    (folder / "model.safetensors").write_bytes(b"half")
    assert converted(gguf_file, "d" * 64) == folder
    assert load_file(folder / "model.safetensors")


def test_what_a_killed_conversion_left_is_swept_away(own, gguf_file) -> None:
    folder = converted(gguf_file, "d" * 64)
    other = converted(gguf_file, "e" * 64)
    shutil.rmtree(folder)
    left = folder.with_name(f"{folder.name}.partial-abc123")
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    assert converted(gguf_file, "d" * 64) == folder
    assert sorted(path for path in folder.parent.iterdir() if path.is_dir()) == sorted([folder, other])


def test_another_digest_or_form_is_another_folder(own, gguf_file, monkeypatch) -> None:
    first = converted(gguf_file, "d" * 64)
    monkeypatch.setattr(cache_module, "FORM", 99)
    assert converted(gguf_file, "d" * 64) != first


OTHER_PROCESS = """
import fcntl, json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.parent.mkdir(parents=True, exist_ok=True)
with open(str(folder) + ".lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
    folder.mkdir()
    (folder / "spiritsafe.json").write_text("{}")
"""


def test_who_finds_another_process_converting_waits_for_it_and_takes_what_it_made(own, gguf_file, monkeypatch) -> None:
    folder = converted(gguf_file, "e" * 64)
    shutil.rmtree(folder)
    monkeypatch.setattr(cache_module, "_convert", lambda *_: pytest.fail("converted twice"))
    command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert other.stdout.readline() == "locked\n"
        waiting = pool.submit(converted, gguf_file, "e" * 64)
        with pytest.raises(TimeoutError):
            waiting.result(0.3)
        other.stdin.close()
        assert waiting.result(30) == folder


def test_a_broken_file_is_refused_and_leaves_nothing(own, tmp_path, gguf_file) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf_file.read_bytes()[:3000])
    with pytest.raises(InputError, match="not a GGUF model"):
        converted(broken, "b" * 64)
    assert [path.suffix for path in (own / "models").iterdir()] == [".lock"]


def test_a_cache_that_can_not_be_written_says_so(tmp_path, monkeypatch, gguf_file) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SPIRITSAFE_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="SPIRITSAFE_CACHE"):
        converted(gguf_file, "d" * 64)


def test_a_full_disk_says_so_and_leaves_nothing(own, monkeypatch, gguf_file) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "_convert", full)
    with pytest.raises(ResourceError, match=r"No space left on device.*300 MB"):
        converted(gguf_file, "d" * 64)
    assert [path.suffix for path in (own / "models").iterdir()] == [".lock"]
