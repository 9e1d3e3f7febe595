from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spiritsafe.distill.recipe import Seal, Teacher
from spiritsafe.distill.seal import seal
from spiritsafe.distill.stages import Run, file_digest
from spiritsafe.distill.terms.grant import Grant, seal_grant
from spiritsafe.distill.verify_student import Verification, is_student, verify_student
from spiritsafe.errors import InputError
from spiritsafe.evidence import dsse, lineage, model_signature, statement
from spiritsafe.evidence.manifest import read_folder
from spiritsafe.evidence.signing import PrivateKey, own_private
from spiritsafe.record.keys import Signer

RunMaker = Callable[..., Run]


def sealed(run: Run) -> Path:
    return seal(run, run.path("train") / "model").folder


@pytest.fixture
def student(finished_run: RunMaker) -> Path:
    return sealed(finished_run(seal=Seal(name="it")))


@pytest.fixture
def granted(finished_run: RunMaker, tmp_path: Path, model_folder: Path) -> Path:
    """A student of a teacher whose terms forbid it, sealed under its owner's grant."""
    owner, now = Signer(bytes(range(32))), datetime.now(UTC)
    grant = Grant(
        grant_id="g-1",
        issuer="The owner",
        licensee="A lab",
        teachers=("gpt-4o",),
        purposes=("student",),
        issued=now,
        not_before=now - timedelta(days=1),
        expires=now + timedelta(days=30),
    )
    (tmp_path / "grant.json").write_bytes(seal_grant(grant, owner))
    (tmp_path / "owner.pub").write_text(owner.public.text)
    teacher = Teacher(source=f"hf:{model_folder}", terms="gpt-4o", grant="grant.json", trust=("owner.pub",))
    return sealed(finished_run(teacher=teacher, seal=Seal(gguf=False)))


def places(found: Verification) -> list[tuple[int, str]]:
    return [(problem.step, problem.where) for problem in found.problems]


def flip(path: Path, at: int) -> bytes:
    """Change one bit of a file; returns what it was."""
    data = path.read_bytes()
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def test_an_intact_student_says_whose_word_it_is(student: Path) -> None:
    found = verify_student(student)
    assert (found.verdict, found.problems) == ("intact", ())
    assert found.lineage is not None
    assert found.lineage.teacher.verdict == "allowed"
    assert found.key == found.lineage.signer.key
    assert found.notes == ("the public key is the folder's own: give --key to check that it is the right one",)
    assert verify_student(student, key=found.key).notes == ()
    assert found.files == sum(1 for path in student.rglob("*") if path.is_file()) - 1


def test_a_changed_byte_is_named_whichever_file_it_is_in(student: Path) -> None:
    paths = [path for path in student.rglob("*") if path.is_file()]
    assert {p.suffix for p in paths} == {".safetensors", ".gguf", ".json", ".jinja", ".md", ".pem", ".sig"}
    for path in paths:
        name, size = path.relative_to(student).as_posix(), path.stat().st_size
        for at in (0, size // 2, size - 1):
            before = flip(path, at)
            found = verify_student(student)
            assert found.verdict == "broken", (name, at)
            assert found.problems[0].where == name, (name, at, found.problems)
            path.write_bytes(before)
    assert verify_student(student).verdict == "intact"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data(), name=st.sampled_from([lineage.NAME, model_signature.NAME]))
def test_no_change_of_what_is_signed_passes(data: st.DataObject, name: str, student: Path) -> None:
    path = student / name
    before = path.read_bytes()
    try:
        at = data.draw(st.integers(0, len(before) - 1))
        path.write_bytes(
            data.draw(
                st.sampled_from(
                    [
                        before[:at],
                        before[:at] + before[at + 1 :],
                        before[:at] + b" " + before[at:],
                        before[:at] + bytes([before[at] ^ data.draw(st.integers(1, 255))]) + before[at + 1 :],
                    ]
                )
            )
        )
        found = verify_student(student)
        assert found.verdict == "broken"
        assert found.problems[0].where == name
    finally:
        path.write_bytes(before)


def test_everything_extra_missing_and_different_is_listed(student: Path) -> None:
    (student / "modeling_own.py").write_text("import os")
    (student / "lineage" / "more.json").write_text("{}")
    (student / "config.json").unlink()
    flip(student / "README.md", 10)
    found = verify_student(student)
    assert places(found) == [
        (4, "README.md"),
        (4, "config.json"),
        (4, "lineage/more.json"),
        (4, "modeling_own.py"),
    ]
    assert [p.message.split(":")[0] for p in found.problems] == [
        "its bytes are not those that were signed",
        "it is missing",
        "it is extra",
        "it is extra",
    ]


@pytest.mark.parametrize("name", [lineage.NAME, model_signature.NAME, lineage.KEY])
def test_what_signs_must_be_there(name: str, student: Path) -> None:
    (student / name).unlink()
    found = verify_student(student)
    assert found.verdict == "broken"
    assert (1, name) in places(found)


def test_without_the_list_of_files_the_lineage_still_names_what_changed(student: Path) -> None:
    (student / model_signature.NAME).unlink()
    flip(student / "tokenizer.json", 50)
    assert places(verify_student(student)) == [(1, model_signature.NAME), (4, "tokenizer.json")]


def test_a_symbolic_link_is_refused_even_to_the_same_bytes(student: Path, tmp_path: Path) -> None:
    path = student / "config.json"
    os.rename(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    found = verify_student(student)
    assert places(found) == [(4, "config.json")]
    assert found.problems[0].message == "it is a symbolic link"


def test_what_git_keeps_is_not_covered_and_that_is_said(student: Path) -> None:
    (student / ".gitattributes").write_text("*.safetensors filter=lfs")
    found = verify_student(student)
    assert found.verdict == "intact"
    assert ".gitattributes is covered by no signature" in found.notes


def test_another_key_than_expected_is_told(student: Path) -> None:
    found = verify_student(student, key="00" * 16)
    assert places(found) == [(2, lineage.KEY)]
    assert "expected 0000" in found.problems[0].message


def test_another_key_put_inside_does_not_take_over(student: Path, tmp_path: Path) -> None:
    other = own_private(tmp_path / "other.pem")
    (student / lineage.KEY).write_bytes(other.public.pem)
    found = verify_student(student)
    assert places(found) == [(2, lineage.KEY)]
    assert found.lineage is None


def test_everything_signed_anew_by_a_stranger_is_another_key(student: Path, tmp_path: Path) -> None:
    own = verify_student(student).key
    resign(student, lambda said: said, key=own_private(tmp_path / "other.pem"))
    assert verify_student(student).verdict == "intact"  # by that key
    assert verify_student(student, key=own).verdict == "broken"


def resign(
    student: Path, change: Callable[[lineage.Lineage], lineage.Lineage], *, key: PrivateKey | None = None
) -> None:
    """Sign everything again as its signer could, after ``change``: what they may say wrongly."""
    key = key or own_private(student.parent.parent / "keys" / "seal.pem")
    (student / lineage.KEY).write_bytes(key.public.pem)
    said = lineage.read((student / lineage.NAME).read_bytes(), lineage.NAME).lineage
    signer = msgspec.structs.replace(said.signer, key=key.public.fingerprint)
    said = change(msgspec.structs.replace(said, signer=signer))
    files = read_folder(student, ignore=(lineage.NAME, model_signature.NAME))
    (student / lineage.NAME).write_bytes(lineage.sign(said, files, key))
    files = read_folder(student, ignore=model_signature.IGNORED)
    (student / model_signature.NAME).write_bytes(model_signature.sign(said.name, files, key))


def replaced(**fields: Any) -> Callable[[lineage.Lineage], lineage.Lineage]:
    return lambda said: msgspec.structs.replace(said, **fields)


def teacher(**fields: Any) -> Callable[[lineage.Lineage], lineage.Lineage]:
    return lambda said: msgspec.structs.replace(said, teacher=msgspec.structs.replace(said.teacher, **fields))


def test_signing_again_what_is_right_stays_right(student: Path) -> None:
    resign(student, lambda said: said)
    assert verify_student(student).verdict == "intact"


@pytest.mark.parametrize(
    ("change", "step", "message"),
    [
        (replaced(weights={"model.safetensors": "00" * 32}), 5, "are not the weights of the folder"),
        (replaced(weights={}), 5, "are not the weights of the folder"),
        (replaced(signer=lineage.Signer(key="00" * 16, origin="own")), 5, "another signer or student"),
        (replaced(answers={"rows.parquet": "00" * 32}), 6, "not those that were collected"),
        (replaced(curated={}), 6, "not the one that was curated"),
        (lambda said: replaced(stages=said.stages[::-1])(said), 6, "not in order"),
        (lambda said: replaced(stages=said.stages[1:])(said), 6, "other stages than those before it"),
        (lambda said: replaced(stages=said.stages[:-1])(said), 6, "not those that were trained"),
        (teacher(verdict="forbidden"), 7, "is forbidden for student"),
        (
            lambda said: teacher(terms=(msgspec.structs.replace(said.teacher.terms[0], verdict="unknown"),))(said),
            7,
            "does not allow it, and there is no grant",
        ),
    ],
)
def test_a_lineage_that_contradicts_itself_is_broken_however_it_is_signed(
    change: Callable[[lineage.Lineage], lineage.Lineage], step: int, message: str, student: Path
) -> None:
    resign(student, change)
    found = verify_student(student)
    assert any(p.step == step and message in p.message for p in found.problems), found.problems


def test_a_stages_manifest_that_is_not_the_one_named_is_broken(student: Path) -> None:
    path = student / "lineage" / "curate.json"
    path.write_bytes(path.read_bytes().replace(b'"kept": 1', b'"kept": 9'))
    resign(student, lambda said: said)
    assert (6, "lineage/curate.json") in places(verify_student(student))


def test_a_stage_made_from_others_is_broken(student: Path) -> None:
    """Every digest right, but one stage speaks of another run's."""
    path = student / "lineage" / "train.json"
    manifest = json.loads(path.read_bytes())
    manifest["inputs"]["curate"] = "00" * 32
    path.write_text(json.dumps(manifest))

    def rename(said: lineage.Lineage) -> lineage.Lineage:
        stages = [
            msgspec.structs.replace(s, manifest=file_digest(path)) if s.stage == "train" else s for s in said.stages
        ]
        return msgspec.structs.replace(said, stages=tuple(stages))

    resign(student, rename)
    assert places(verify_student(student)) == [(6, "lineage/train.json")]


def test_weights_that_were_not_trained_are_broken(student: Path) -> None:
    """Somebody's else's weights under a lineage of one's own, all signed again."""
    path = student / "model.safetensors"
    flip(path, path.stat().st_size - 1)
    resign(student, replaced(weights={"model.safetensors": file_digest(path)}))
    found = verify_student(student)
    assert [(p.step, p.message) for p in found.problems] == [
        (6, "the weights it names are not those that were trained")
    ]


def test_a_lineage_about_other_files_is_broken(student: Path) -> None:
    """Each signed by the right key, but not together."""
    key = own_private(student.parent.parent / "keys" / "seal.pem")
    (student / "README.md").write_text("# Another card\n")
    files = read_folder(student, ignore=model_signature.IGNORED)
    (student / model_signature.NAME).write_bytes(model_signature.sign("it", files, key))
    assert places(verify_student(student)) == [(5, lineage.NAME)]


def grant_of(said: lineage.Lineage) -> lineage.Grant:
    assert said.teacher.grant is not None
    return said.teacher.grant


def test_a_grant_inside_is_checked_and_its_key_named(granted: Path) -> None:
    found = verify_student(granted)
    assert found.verdict == "intact", found.problems
    assert found.lineage is not None
    key = grant_of(found.lineage).key
    assert any(note.startswith(f"the grant is signed by {key}") for note in found.notes)


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (teacher(grant=None), lineage.NAME, "there is no grant"),
        (teacher(name="another-model"), "lineage/grant.json", "not for another-model"),
        (teacher(purpose="research"), "lineage/grant.json", "not for research"),
        (teacher(checked=datetime(2031, 1, 1, tzinfo=UTC)), "lineage/grant.json", "the grant holds from"),
        (
            lambda said: teacher(grant=msgspec.structs.replace(grant_of(said), sha256="00" * 32))(said),
            "lineage/grant.json",
            "not the grant that the lineage names",
        ),
        (
            lambda said: teacher(grant=msgspec.structs.replace(grant_of(said), key="00" * 16))(said),
            "lineage/grant.pub",
            "it is not the key 0000",
        ),
        (
            lambda said: teacher(grant=msgspec.structs.replace(grant_of(said), grant_id="g-2"))(said),
            "lineage/grant.json",
            "it is the grant g-1, not g-2",
        ),
    ],
)
def test_a_grant_that_does_not_hold_is_no_permission(
    change: Callable[[lineage.Lineage], lineage.Lineage], where: str, message: str, granted: Path
) -> None:
    resign(granted, change)
    found = verify_student(granted)
    assert [(p.step, p.where) for p in found.problems] == [(7, where)], found.problems
    assert message in found.problems[0].message


def test_a_grant_that_nobody_signed_is_no_permission(granted: Path) -> None:
    path = granted / "lineage" / "grant.json"
    envelope = json.loads(path.read_bytes())
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[0] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    path.write_text(json.dumps(envelope))
    resign(
        granted,
        lambda said: teacher(grant=msgspec.structs.replace(grant_of(said), sha256=file_digest(path)))(said),
    )
    found = verify_student(granted)
    assert places(found) == [(7, "lineage/grant.json")]
    assert "no trusted key signed this grant" in found.problems[0].message


def test_a_newer_lineage_asks_for_a_newer_program(student: Path) -> None:
    opened = dsse.decode((student / lineage.NAME).read_bytes(), "x")
    payload = opened.payload.replace(b"lineage/v1", b"lineage/v2")
    key = own_private(student.parent.parent / "keys" / "seal.pem")
    envelope = dsse.seal(statement.PAYLOAD_TYPE, payload, key.sign, key.public.fingerprint)
    (student / lineage.NAME).write_bytes(dsse.encode(envelope))
    with pytest.raises(InputError, match="newer spiritsafe"):
        verify_student(student)


def test_what_is_no_student_says_so(tmp_path: Path, student: Path) -> None:
    assert is_student(student)
    assert not is_student(tmp_path)
    assert not is_student(tmp_path / "none")
    with pytest.raises(InputError, match="no sealed student"):
        verify_student(tmp_path)


def test_checking_loads_no_model_library() -> None:
    heavy = "{'torch', 'transformers', 'gguf'} & set(sys.modules)"
    code = f"import sys, spiritsafe.distill.verify_student; print(sorted({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
