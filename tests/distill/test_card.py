from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from spiritsafe.distill.card import Facts, card, front_matter, licence
from spiritsafe.distill.export import Exported
from spiritsafe.distill.ledger import Entry, Ledger, bill
from spiritsafe.distill.recipe import Lora, Prompts, Prune, Recipe, Student, Teacher, Train
from spiritsafe.distill.retention import Ratio
from spiritsafe.distill.stages import Manifest
from spiritsafe.distill.steps.evaluate import Evaluation, Measured
from spiritsafe.distill.terms.types import NO_ADVICE
from spiritsafe.evidence import lineage
from spiritsafe.evidence.signing import PrivateKey

DAY = datetime(2026, 11, 22, tzinfo=UTC)
KEY = PrivateKey(ec.generate_private_key(ec.SECP256R1())).public
APACHE = lineage.Terms(
    terms="apache-2.0",
    name="Apache License 2.0",
    verdict="allowed",
    document="Apache License",
    url="https://www.apache.org/licenses/LICENSE-2.0",
    read=date(2026, 11, 22),
)
TEACHER = lineage.Teacher(
    name="HuggingFaceTB/SmolLM2-135M-Instruct",
    source="smollm2",
    sha256="ab" * 32,
    purpose="student",
    verdict="allowed",
    reasons=("Use is free.",),
    conditions=("Carry the licence.", "Name the teacher."),
    terms=(APACHE,),
    verified=True,
    checked=DAY,
    grant=None,
)
LINEAGE = lineage.Lineage(
    name="student",
    made=DAY,
    teacher=TEACHER,
    prompts=(lineage.Prompts(file="data/prompts.jsonl", licence="CC0-1.0", acknowledged_by=None),),
    record=lineage.Head(log="l", rows=600, link="cd" * 32, key="k"),
    answers={},
    curated={},
    stages=(),
    code="spiritsafe 0",
    recipe="00" * 32,
    weights={},
    claims=(),
    signer=lineage.Signer(key=KEY.fingerprint, origin="own"),
)
RECIPE = Recipe(
    purpose="student",
    teacher=Teacher(source="smollm2"),
    prompts=(Prompts(file="data/prompts.jsonl", licence="CC0-1.0"),),
    student=Student(prune=Prune(layers=20)),
)


def manifest(**fields: Any) -> Manifest:
    given = {"stage": "train", "code": "c", "recipe": "r", "inputs": {}, "outputs": {}, "counts": {}, "seconds": 3.0}
    return Manifest(**given | {"finished": DAY} | fields)  # type: ignore[arg-type]


def facts(**fields: Any) -> Facts:
    given = Facts(
        lineage=LINEAGE,
        recipe=RECIPE,
        manifests={"collect": manifest(stage="collect", counts={"answers": 1600}), "train": manifest()},
        evaluation=None,
        bill=None,
        exported=Exported(("model.safetensors",), ("model.safetensors",), 98_765_432, ("float32",)),
        gguf="student-F16.gguf",
        notices=(),
        key=KEY,
    )
    return given._replace(**fields)


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def ratio(value: float | None, **fields: Any) -> Ratio:
    given = Ratio(
        measure="likelihood",
        value=value,
        interval=(0.7, 0.9),
        student=2.6,
        teacher=1.5,
        n=64,
        confidence=0.95,
        draws=100,
        seed=0,
    )
    return msgspec.structs.replace(given, **fields)


EVALUATION = Evaluation(
    prompts=64,
    answer_tokens=4000,
    agreement_with="the teacher's likeliest token",
    measured=(Measured(model="student", cross_entropy=2.6, parameters=98_765_432),),
    retention=(ratio(0.8),),
    retention_untouched=(ratio(0.2, interval=(0.1, 0.3)),),
)


def test_the_front_matter_is_what_the_hub_reads() -> None:
    text = card(facts())
    assert text.startswith("---\n")
    assert yaml.safe_load(text.split("---\n")[1]) == {
        "license": "apache-2.0",
        "base_model": ["HuggingFaceTB/SmolLM2-135M-Instruct"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["distillation", "spiritsafe", "gguf"],
        "datasets": ["prompts.jsonl"],
    }


def test_it_says_what_it_is_and_what_it_may_be_used_for() -> None:
    body = card(facts()).split("---\n", 2)[2]
    assert body.startswith("\n# student\n\nA language model of 98,765,432 parameters (float32), distilled from Hugging")
    assert "The terms were asked for this purpose: a general language model that is passed on" in body


def test_only_weights_that_were_the_teachers_stay_under_its_licence() -> None:
    fresh = msgspec.structs.replace(RECIPE, student=Student(config="config.json"))
    assert licence(facts(recipe=fresh)) == {"license": "unknown"}
    assert "base_model" not in front_matter(facts(recipe=fresh))
    other = msgspec.structs.replace(RECIPE, student=Student(model="../models/base one"))
    assert front_matter(facts(recipe=other))["base_model"] == ["base-one"]
    assert "names no licence" in section(card(facts(recipe=other)), "Conditions that travel with it")


def test_a_licence_that_the_hub_does_not_know_is_named_and_linked() -> None:
    own = msgspec.structs.replace(APACHE, terms="own-licence", url="https://example.com/own")
    said = msgspec.structs.replace(LINEAGE, teacher=msgspec.structs.replace(TEACHER, terms=(own,)))
    assert licence(facts(lineage=said)) == {
        "license": "other",
        "license_name": "own-licence",
        "license_link": "https://example.com/own",
    }
    both = msgspec.structs.replace(LINEAGE, teacher=msgspec.structs.replace(TEACHER, terms=(own, APACHE)))
    assert licence(facts(lineage=both))["license_name"] == "own-licence-and-apache-2.0"


def test_the_conditions_travel() -> None:
    text = section(card(facts()), "Conditions that travel with it")
    assert "- Carry the licence." in text
    assert "- Name the teacher." in text
    assert NO_ADVICE in text
    assert "add it before you pass this model on" in text
    assert "`LICENSE`" in section(card(facts(notices=("LICENSE",))), "Conditions that travel with it")


def test_a_grant_is_told_with_its_parties() -> None:
    grant = lineage.Grant(grant_id="g-1", issuer="Owner", licensee="Lab", expires=DAY, sha256="00" * 32, key="ee" * 16)
    said = msgspec.structs.replace(LINEAGE, teacher=msgspec.structs.replace(TEACHER, grant=grant, verified=False))
    text = card(facts(lineage=said))
    assert "`g-1` by Owner to Lab, until 2026-11-22" in section(text, "Teacher")
    assert "rests on recollection" in section(text, "Conditions that travel with it")


def test_what_is_missing_is_said_to_be_missing() -> None:
    text = card(facts(lineage=msgspec.structs.replace(LINEAGE, record=None), manifests={"train": manifest()}))
    assert "Retention is not recorded" in section(text, "What it kept of its teacher")
    assert "How much of the teacher it kept is unknown." in section(text, "Limits")
    assert "A ledger is not recorded" in section(text, "What it cost")
    data = section(text, "Data")
    assert "Curated: not recorded." in data
    assert "record is not recorded" in data


def test_retention_stands_beside_the_untouched_student() -> None:
    text = section(card(facts(evaluation=EVALUATION)), "What it kept of its teacher")
    assert "| likelihood | 0.800 [0.700, 0.900] | 0.200 [0.100, 0.300] | 64 | 0.95 |" in text
    assert "| student | 2.600 | not recorded | not recorded | not recorded | 98,765,432 | not recorded |" in text


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (ratio(None), "| likelihood | not recorded |"),
        (ratio(0.8, interval=None), "| likelihood | 0.800, no interval |"),
    ],
)
def test_a_ratio_that_could_not_be_had_is_not_made_up(given: Ratio, shown: str) -> None:
    found = msgspec.structs.replace(EVALUATION, retention=(given,), retention_untouched=())
    text = section(card(facts(evaluation=found)), "What it kept of its teacher")
    assert f"{shown} not recorded | 64 | 0.95 |" in text


def test_why_there_is_no_retention_is_told() -> None:
    found = msgspec.structs.replace(EVALUATION, retention=(), why_not="the teacher's weights are not here")
    text = section(card(facts(evaluation=found)), "What it kept of its teacher")
    assert "Retention was not measured: the teacher's weights are not here." in text


def test_the_ledger_is_summed_up() -> None:
    entries = (
        Entry(stage="collect", what="answers", time=DAY, seconds=3600, tokens_in=5, tokens_out=7, money=1.5),
        Entry(stage="train", what="steps", time=DAY, seconds=1800, tokens_trained=9, flops=2e15),
    )
    ledger = Ledger(teacher="a", student_params=1e8, entries=entries)
    text = section(card(facts(bill=bill(ledger))), "What it cost")
    assert "| collect | 1.000 | 5 | 7 | 0 | 0.000e+00 | 0.0650 | 1.50 USD |" in text
    assert "| all | 1.500 | 5 | 7 | 9 | 2.000e+15 | 0.0975 | 1.50 USD |" in text
    assert "times the FLOPs" in text


def test_the_recipe_is_told_as_it_is() -> None:
    train = Train(loss="topk_kl", sft_weight=0.25, on_policy=0.5, lora=Lora(rank=8))
    student = Student(prune=Prune(keep=(0, 3), vocabulary=17_000))
    recipe = msgspec.structs.replace(RECIPE, train=train, student=student)
    text = section(card(facts(recipe=recipe)), "How it was trained")
    assert "| Began as | the teacher's layers: 0, 3; the vocabulary cut to 17,000 |" in text
    assert "| Loss | topk_kl, with 0.25 of sft |" in text
    assert "LoRA of rank 8, merged" in text
    assert "50% of the steps" in text
    twenty = section(card(facts()), "How it was trained")
    assert "| Began as | the teacher's layers: the 20 of highest influence |" in twenty


def test_how_to_check_depends_on_the_key() -> None:
    text = section(card(facts()), "Check it")
    assert f"spiritsafe verify . --key {KEY.fingerprint}" in text
    assert "model_signing verify key" in text
    own = PrivateKey(Ed25519PrivateKey.generate()).public
    assert "model_signing verify" not in card(facts(key=own))
    fresh = msgspec.structs.replace(LINEAGE, signer=lineage.Signer(key=KEY.fingerprint, origin="fresh"))
    assert "that one hand signed everything" in section(card(facts(lineage=fresh)), "Limits")


def test_names_have_no_power_over_the_page() -> None:
    bad = "x](http://evil) | <script>\n# head `code`"
    prompts = (lineage.Prompts(file="a|b`c", licence=None, acknowledged_by=bad),)
    said = msgspec.structs.replace(LINEAGE, name=bad, prompts=prompts)
    text = card(facts(lineage=said))
    body = text.split("---\n", 2)[2]
    assert "<script>" not in body.replace("\\<script\\>", "")
    assert "](http" not in body.replace("\\](http", "").replace("](https://www.apache.org", "")
    rows = [line for line in section(text, "Data").splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert "Some of its prompts have no known licence." in text
