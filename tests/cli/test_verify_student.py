"""`spiritsafe verify STUDENT`: a verdict, every wrong place, and an exit code that says it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spiritsafe.distill.stages import Manifest
from spiritsafe.evidence import lineage, model_signature
from spiritsafe.evidence.manifest import read_folder
from spiritsafe.evidence.signing import own_private

Run = Callable[..., Any]
DAY = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def student(tmp_path: Path) -> Path:
    """The least that is a sealed student: weights, two stages and what is signed."""
    folder, key = tmp_path / "student", own_private(tmp_path / "keys" / "seal.pem")
    (folder / lineage.FOLDER).mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    weights = {"model.safetensors": hashlib.sha256(b"weights").hexdigest()}
    stages: list[lineage.Stage] = []
    for name, outputs in (("collect", {"rows": "1"}), ("curate", {"rows": "2"}), ("train", weights)):
        manifest = Manifest(
            stage=name,  # type: ignore[arg-type]
            code="c",
            recipe="r",
            inputs={stage.stage: stage.manifest for stage in stages},
            outputs=outputs,
            counts={},
            seconds=1.0,
            finished=DAY,
        )
        data = msgspec.json.encode(manifest)
        (folder / lineage.FOLDER / f"{name}.json").write_bytes(data)
        stages.append(lineage.Stage(stage=name, manifest=hashlib.sha256(data).hexdigest(), code="c"))
    said = lineage.Lineage(
        name="student",
        made=DAY,
        teacher=lineage.Teacher(
            name="a \x1b[2Jteacher",
            source="smollm2",
            sha256=None,
            purpose="student",
            verdict="conditional",
            reasons=(),
            conditions=("name it",),
            terms=(),
            verified=True,
            checked=DAY,
            grant=None,
        ),
        prompts=(),
        record=None,
        answers={"rows": "1"},
        curated={"rows": "2"},
        stages=tuple(stages),
        code="spiritsafe 0",
        recipe="r",
        weights=weights,
        claims=(),
        signer=lineage.Signer(key=key.public.fingerprint, origin="own"),
    )
    (folder / lineage.KEY).write_bytes(key.public.pem)
    (folder / lineage.NAME).write_bytes(lineage.sign(said, read_folder(folder), key))
    (folder / model_signature.NAME).write_bytes(model_signature.sign("student", read_folder(folder), key))
    return folder


def test_an_intact_student(run: Run, student: Path, tmp_path: Path) -> None:
    found = run("verify", str(student), "--json").json
    assert (found["verdict"], found["problems"], found["files"]) == ("intact", [], 6)
    assert found["lineage"]["teacher"]["verdict"] == "conditional"
    told = run("verify", str(student))
    assert told.code == 0
    assert told.out.startswith("intact\n")
    assert "conditional, asked on 2026-11-22" in told.out
    assert "note: the public key is the folder's own" in told.out
    assert "\x1b" not in told.out
    public = tmp_path / "public.pem"
    public.write_bytes((student / lineage.KEY).read_bytes())
    for key in (found["key"], str(public)):
        assert "note:" not in run("verify", str(student), "--key", key).out


def test_a_changed_byte_of_the_weights_is_named(run: Run, student: Path) -> None:
    (student / "model.safetensors").write_bytes(b"Weights")
    (student / "extra").write_bytes(b"")
    done = run("verify", str(student))
    assert done.code == 1
    assert done.out.splitlines()[:3] == [
        "broken",
        "model.safetensors: its bytes are not those that were signed (step 4)",
        "extra: it is extra: nobody signed it (step 4)",
    ]


def test_another_key_is_told(run: Run, student: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(own_private(tmp_path / "other" / "key").public.pem)
    for key in (str(other), "00" * 16):
        done = run("verify", str(student), "--key", key)
        assert done.code == 1
        assert "signer.pem: the key is " in done.out
    other.write_text("no key")
    assert run("verify", str(student), "--key", str(other)).code == 2


def test_a_student_takes_no_heads(run: Run, student: Path) -> None:
    done = run("verify", str(student), "--head", "x")
    assert done.code == 2
    assert "a student has no heads" in done.err
