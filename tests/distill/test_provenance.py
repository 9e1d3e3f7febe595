from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spiritsafe.distill.provenance import public_source, weights_digest
from spiritsafe.distill.retention import Ratio
from spiritsafe.distill.seal import seal
from spiritsafe.distill.stages import Run, code_digest, file_digest
from spiritsafe.distill.steps.evaluate import Evaluation
from spiritsafe.evidence import lineage
from spiritsafe.evidence.manifest import root_of
from spiritsafe.record import head
from spiritsafe.record.keys import Public

RunMaker = Callable[..., Run]


def ratio(value: float) -> Ratio:
    return Ratio(
        measure="likelihood",
        value=value,
        interval=(value - 0.1, value + 0.1),
        student=2.0,
        teacher=1.0,
        n=7,
        confidence=0.95,
        draws=100,
        seed=0,
    )


def test_a_lineage_says_what_the_run_did(finished_run: RunMaker, model_folder: Path) -> None:
    run = finished_run()
    evaluation = Evaluation(
        prompts=7,
        answer_tokens=70,
        agreement_with="x",
        measured=(),
        retention=(ratio(0.9),),
        retention_untouched=(ratio(0.4),),
    )
    path = run.path("evaluate") / "evaluation.json"
    path.write_bytes(msgspec.json.encode(evaluation))
    run.finish("evaluate", [path], {}, 1.0)
    sealed = seal(run, run.path("train") / "model")
    said = lineage.read((sealed.folder / lineage.NAME).read_bytes(), "x").lineage

    assert said.name == "student"
    assert said.teacher.name == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert said.teacher.source == f"hf:{model_folder.name}"
    assert said.teacher.sha256 == root_of([file_digest(model_folder / "model.safetensors")])
    assert (said.teacher.verdict, [t.terms for t in said.teacher.terms]) == ("allowed", ["apache-2.0"])
    assert said.prompts == (lineage.Prompts(file="prompts.jsonl", licence="CC0-1.0", acknowledged_by=None),)
    assert said.answers == {"rows.parquet": file_digest(run.path("collect") / "rows.parquet")}
    assert said.curated == {"curated.parquet": file_digest(run.path("curate") / "curated.parquet")}
    assert said.weights == {"model.safetensors": file_digest(run.path("train") / "model" / "model.safetensors")}
    assert said.recipe == file_digest(run.folder / "recipe.json")
    assert said.code == code_digest()
    assert {s.stage: s.manifest for s in said.stages} == {
        stage: file_digest(run.folder / stage / "manifest.json")
        for stage in ("terms", "collect", "cache", "curate", "train", "evaluate")
    }
    public = Public.from_text((run.path("collect") / "record" / "key.pub").read_text())
    assert public is not None
    newest = head.newest(run.path("collect") / "record" / "head", public)
    assert newest is not None
    assert said.record == lineage.Head(log=newest[0].log, rows=1, link=newest[0].link, key=public.fingerprint)

    claims = {claim.name: claim for claim in said.claims}
    assert claims["seconds of train"].value == 2.0
    assert (claims["paid for answers"].value, claims["paid for answers"].unit) == (0.25, "USD")
    kept = claims["retention, likelihood"]
    assert (kept.value, kept.interval, kept.basis) == (0.9, (0.8, 1.0), "bootstrap over 7 held-out prompts at 0.95")
    assert kept.beside in claims
    assert claims[kept.beside].value == 0.4


def test_answers_without_a_record_are_said_to_have_none(finished_run: RunMaker) -> None:
    run = finished_run()
    (run.path("collect") / "record" / "head").unlink()
    sealed = seal(run, run.path("train") / "model")
    assert lineage.read((sealed.folder / lineage.NAME).read_bytes(), "x").lineage.record is None


@pytest.mark.parametrize(
    ("source", "public"),
    [
        ("hf:/home/somebody/models/teacher", "hf:teacher"),
        ("gguf:../teacher.gguf", "gguf:teacher.gguf"),
        (
            "openai:https://me:secret@api.example.com:8443/v1?key=secret#big",
            "openai:https://api.example.com:8443/v1#big",
        ),
        ("smollm2", "smollm2"),
    ],
)
def test_a_source_is_told_without_secrets_and_places(source: str, public: str) -> None:
    assert public_source(source) == public


def test_weights_that_are_not_here_have_no_digest(model_folder: Path) -> None:
    assert weights_digest("openai:https://api.example.com/v1#big") is None
    raw = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).digest()
    assert weights_digest(f"hf:{model_folder}") == hashlib.sha256(raw).hexdigest()
