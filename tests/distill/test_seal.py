from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gguf
import msgspec
import pytest
import yaml
from transformers import AutoModelForCausalLM

from spiritsafe.distill.recipe import Seal, Teacher
from spiritsafe.distill.seal import seal
from spiritsafe.distill.stages import Run
from spiritsafe.distill.terms.grant import Grant, seal_grant
from spiritsafe.distill.verify_student import verify_student
from spiritsafe.errors import InputError, Refused, UsageError
from spiritsafe.evidence import lineage
from spiritsafe.evidence.manifest import read_folder
from spiritsafe.evidence.signing import PublicKey
from spiritsafe.record.keys import Signer, secret

RunMaker = Callable[..., Run]


def model_of(run: Run) -> Path:
    return run.path("train") / "model"


def test_a_student_is_sealed_whole(finished_run: RunMaker) -> None:
    run = finished_run()
    sealed = seal(run, model_of(run))
    assert sealed.folder == run.folder / "seal" / "student"
    assert [p.relative_to(sealed.folder).as_posix() for p in sealed.outputs] == [
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "lineage/cache.json",
        "lineage/collect.json",
        "lineage/curate.json",
        "lineage/terms.json",
        "lineage/train.json",
        "lineage.dsse.json",
        "model.safetensors",
        "model.sig",
        "signer.pem",
        "student-F16.gguf",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert verify_student(sealed.folder, key=sealed.key.fingerprint).verdict == "intact"
    front = (sealed.folder / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    AutoModelForCausalLM.from_pretrained(sealed.folder, local_files_only=True)
    gguf.GGUFReader(sealed.folder / "student-F16.gguf")


def test_a_fresh_key_is_kept_with_the_run_and_said_to_be_fresh(finished_run: RunMaker) -> None:
    run = finished_run(seal=Seal(gguf=False))
    first = seal(run, model_of(run))
    assert first.fresh
    assert (run.folder / "keys" / "seal.pem").stat().st_mode & 0o777 == 0o600
    said = lineage.read((first.folder / lineage.NAME).read_bytes(), "x").lineage
    assert said.signer == lineage.Signer(key=first.key.fingerprint, origin="fresh")
    again = seal(run, model_of(run))
    assert again.key.fingerprint == first.key.fingerprint
    assert verify_student(again.folder).verdict == "intact"


def test_ones_own_key_signs(finished_run: RunMaker, tmp_path: Path) -> None:
    own = Signer(secret(tmp_path / "own.key")).public
    run = finished_run(seal=Seal(name="other", key="own.key", gguf=False))
    sealed = seal(run, model_of(run))
    assert not sealed.fresh
    assert sealed.gguf is None
    assert sealed.key.fingerprint == own.fingerprint
    assert PublicKey.read((sealed.folder / lineage.KEY).read_bytes(), "x").kind == "ed25519"
    assert verify_student(sealed.folder, key=own.fingerprint).verdict == "intact"
    assert not (run.folder / "keys").exists()


def test_a_grant_travels_with_the_student(finished_run: RunMaker, tmp_path: Path, model_folder: Path) -> None:
    run = granted(finished_run, tmp_path, model_folder)
    sealed = seal(run, model_of(run))
    found = verify_student(sealed.folder)
    assert found.verdict == "intact", found.problems
    assert found.lineage is not None
    grant = found.lineage.teacher.grant
    assert grant is not None
    assert (grant.grant_id, grant.issuer) == ("g-1", "The owner")
    assert grant.sha256 == read_folder(sealed.folder).files["lineage/grant.json"]
    assert any(grant.key in note for note in found.notes)
    assert "g-1" in (sealed.folder / "README.md").read_text()


def test_another_grant_than_the_run_began_with_is_refused(
    finished_run: RunMaker, tmp_path: Path, model_folder: Path
) -> None:
    run = granted(finished_run, tmp_path, model_folder)
    put_grant(tmp_path, "g-2")
    with pytest.raises(InputError, match=r"another grant than the run began with \(g-1\)"):
        seal(run, model_of(run))
    (tmp_path / "grant.json").unlink()
    with pytest.raises(InputError, match="the grant can't be read"):
        seal(run, model_of(run))


def put_grant(folder: Path, name: str) -> None:
    owner, now = Signer(secret(folder / "owner.key")), datetime.now(UTC)
    grant = Grant(
        grant_id=name,
        issuer="The owner",
        licensee="A lab",
        teachers=("gpt-4o",),
        purposes=("student",),
        issued=now,
        not_before=now - timedelta(days=1),
        expires=now + timedelta(days=30),
    )
    (folder / "grant.json").write_bytes(seal_grant(grant, owner))
    (folder / "owner.pub").write_text(owner.public.text)


def granted(finished_run: RunMaker, folder: Path, model: Path) -> Run:
    put_grant(folder, "g-1")
    teacher = Teacher(source=f"hf:{model}", terms="gpt-4o", grant="grant.json", trust=("owner.pub",))
    return finished_run(teacher=teacher)


def test_without_permission_nothing_is_sealed(finished_run: RunMaker) -> None:
    run = finished_run()
    path = run.path("terms") / "permission.json"
    said = msgspec.json.decode(path.read_bytes())
    said["answer"]["verdict"] = "unknown"
    path.write_bytes(msgspec.json.encode(said))
    with pytest.raises(Refused, match="is unknown, and no grant was shown"):
        seal(run, model_of(run))
    assert not (run.folder / "seal" / "student").exists()


def test_a_run_that_has_not_come_so_far_says_what_is_missing(finished_run: RunMaker) -> None:
    run = finished_run()
    (run.path("train") / "manifest.json").unlink()
    with pytest.raises(UsageError, match="has not done train yet"):
        seal(run, model_of(run))


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb"])
def test_a_name_that_is_no_folders_is_refused(name: str, finished_run: RunMaker) -> None:
    run = finished_run(seal=Seal(name=name))
    with pytest.raises(UsageError, match="no name for a student"):
        seal(run, model_of(run))


def test_a_seal_that_fails_leaves_the_one_before(finished_run: RunMaker) -> None:
    run = finished_run(seal=Seal(gguf=False))
    before = read_folder(seal(run, model_of(run)).folder)
    (model_of(run) / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(InputError, match="can't be sealed"):
        seal(run, model_of(run))
    assert read_folder(run.folder / "seal" / "student") == before
