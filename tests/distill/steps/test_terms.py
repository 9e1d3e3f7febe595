from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.recipe import Cache, Prompts, Prune, Recipe, Student, Teacher
from spiritsafe.distill.stages import Run
from spiritsafe.distill.steps.terms import name_and_host, read_permission, step
from spiritsafe.distill.terms.grant import Grant, seal_grant
from spiritsafe.errors import InputError, Refused
from spiritsafe.record.keys import Signer

RECIPE = Recipe(
    purpose="student",
    teacher=Teacher(source="smollm2"),
    prompts=(Prompts(file="p.jsonl", licence="CC0-1.0"),),
    student=Student(prune=Prune(layers=2)),
)


def run_of(folder: Path, **teacher: object) -> Run:
    recipe = msgspec.structs.replace(RECIPE, teacher=Teacher(**teacher))  # type: ignore[arg-type]
    return Run.start(folder / "run", recipe, folder, resume=True)


def checked(run: Run) -> dict[str, int | float | str]:
    return step(run, lambda what, share, left: None).counts


def granted(folder: Path, *, signer: Signer, teacher: str = "gpt-4o", days: int = 30) -> str:
    now = datetime.now(UTC)
    grant = Grant(
        grant_id="g-1",
        issuer="The owner",
        licensee="A lab",
        teachers=(teacher,),
        purposes=("student",),
        issued=now,
        not_before=now - timedelta(days=1),
        expires=now + timedelta(days=days),
    )
    (folder / "grant.json").write_bytes(seal_grant(grant, signer))
    (folder / "owner.pub").write_text(signer.public.text)
    return "grant.json"


def test_the_embedded_teacher_is_allowed(tmp_path: Path) -> None:
    run = run_of(tmp_path, source="smollm2")
    assert checked(run)["verdict"] == "allowed"
    permission = read_permission(run)
    assert permission.answer.reasons
    assert permission.prompts[0].licence == "CC0-1.0"


def test_generated_prompts_are_our_own_and_need_no_licence(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, prompts=(Prompts(generate="general", count=3),))
    run = Run.start(tmp_path / "run", recipe, tmp_path, resume=True)
    checked(run)
    assert [(p.file, p.licence) for p in read_permission(run).prompts] == [("generate:general:0", "Apache-2.0")]


def test_a_forbidden_teacher_is_refused_and_then_allowed_by_a_grant(tmp_path: Path) -> None:
    source = "openai:https://api.openai.com/v1#gpt-4o"
    with pytest.raises(Refused, match="gpt-4o is forbidden for student"):
        checked(run_of(tmp_path, source=source))
    grant = granted(tmp_path, signer=Signer(b"1" * 32))
    run = run_of(tmp_path, source=source, grant=grant, trust=("owner.pub",))
    assert checked(run)["verdict"] == "conditional"
    answer = read_permission(run).answer
    assert answer.grant == "g-1"
    assert any("Only until" in c for c in answer.conditions)


def test_a_grant_that_nobody_trusted_signed_is_none(tmp_path: Path) -> None:
    grant = granted(tmp_path, signer=Signer(b"1" * 32))
    (tmp_path / "owner.pub").write_text(Signer(b"2" * 32).public.text)
    run = run_of(tmp_path, source="openai:https://api.openai.com/v1#gpt-4o", grant=grant, trust=("owner.pub",))
    with pytest.raises(Refused, match="no trusted key signed"):
        checked(run)


@pytest.mark.parametrize(("teacher", "days"), [("another-model", 30), ("gpt-4o", -1)])
def test_a_grant_for_something_else_or_another_time_is_none(tmp_path: Path, teacher: str, days: int) -> None:
    grant = granted(tmp_path, signer=Signer(b"1" * 32), teacher=teacher, days=days)
    run = run_of(tmp_path, source="openai:https://api.openai.com/v1#gpt-4o", grant=grant, trust=("owner.pub",))
    with pytest.raises(Refused, match="the grant"):
        checked(run)


def test_a_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    grant = granted(tmp_path, signer=Signer(b"1" * 32))
    (tmp_path / "owner.pub").write_text("a key, surely")
    run = run_of(tmp_path, source="openai:https://api.openai.com/v1#gpt-4o", grant=grant, trust=("owner.pub",))
    with pytest.raises(InputError, match=r"owner\.pub: not a public key"):
        checked(run)


def test_a_host_that_nobody_has_read_makes_an_open_model_unknown(tmp_path: Path) -> None:
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    with pytest.raises(Refused, match=r"does not know the host models\.example"):
        checked(run_of(tmp_path, source=f"openai:https://models.example/v1#{name}"))
    assert checked(run_of(tmp_path, source=f"openai:http://127.0.0.1:8000/v1#{name}"))["verdict"] == "allowed"


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("smollm2", ("HuggingFaceTB/SmolLM2-135M-Instruct", None)),
        ("hf:models/llama-3-8b", ("llama-3-8b", None)),
        ("gguf:models/Qwen2.5-7B.gguf", ("Qwen2.5-7B", None)),
        ("openai:https://api.openai.com/v1#gpt-4o", ("gpt-4o", "api.openai.com")),
        ("openai:http://10.0.0.3:80/v1#m", ("m", None)),
        ("openai:http://server.internal/v1#m", ("m", None)),
    ],
)
def test_what_is_looked_up_follows_from_the_teachers_name(source: str, wanted: tuple[str, str | None]) -> None:
    recipe = msgspec.structs.replace(RECIPE, teacher=Teacher(source=source))
    assert name_and_host(recipe) == wanted


def test_weights_under_another_name_have_their_own_terms(tmp_path: Path) -> None:
    allowed = run_of(tmp_path / "a", source="openai:http://127.0.0.1:8000/v1#SmolLM2-135M-Instruct", weights="smollm2")
    assert checked(allowed)["verdict"] == "allowed"
    url = "openai:http://127.0.0.1:8000/v1#SmolLM2-135M-Instruct"
    with pytest.raises(Refused, match="a-model-nobody-knows is unknown"):
        checked(run_of(tmp_path / "b", source=url, weights="hf:models/a-model-nobody-knows"))


def test_weights_behind_an_api_are_none(tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(
        RECIPE,
        teacher=Teacher(source="openai:http://127.0.0.1:8000/v1#m", weights="smollm2"),
        cache=Cache(kind="sampled"),
    )
    assert recipe.teacher.weights_source == "smollm2"
    with pytest.raises(ValueError, match="needs a teacher's weights"):
        Recipe(
            purpose="student", teacher=Teacher(source="openai:http://127.0.0.1:8000/v1#m"), prompts=RECIPE.prompts,
            student=RECIPE.student, cache=Cache(kind="sampled"),
        )  # fmt: skip
