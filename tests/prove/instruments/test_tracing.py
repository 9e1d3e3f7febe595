from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from spiritsafe.errors import InputError
from spiritsafe.protect import prf
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.prf import Words as Rows
from spiritsafe.protect.rehearsal import Chain
from spiritsafe.protect.tracing import Code
from spiritsafe.prove.instruments import open_instrument
from spiritsafe.prove.instruments.tracing import TracedQuestions
from spiritsafe.prove.instruments.types import Options
from spiritsafe.prove.ngram import Ngram, NgramSuspect
from spiritsafe.prove.protocol import NAMING
from spiritsafe.stats import holm

MARK = Traced(1, 64, 2.0, 128)
SECRET = bytes(range(32))
TENANTS = tuple(f"acc_{n}" for n in range(60))
FED = ("acc_7", "acc_31")
TIME = datetime(2026, 11, 2, tzinfo=UTC)
OPTIONS = Options(mark=MARK.name, epoch="1", samples=2, max_tokens=120)


class Affair(NamedTuple):
    folder: Path
    teacher: NgramSuspect
    student: NgramSuspect
    innocent: NgramSuspect


@pytest.fixture(scope="module")
def affair(tmp_path_factory: pytest.TempPathFactory) -> Affair:
    """A teacher of counts, a student that two of its tenants fed, and one that none did."""
    split = pre_tokenizers.Whitespace()
    texts = [[word for word, _ in split.pre_tokenize_str(topics[name].lower())] for name in sorted(topics)]
    ids = {word: at for at, word in enumerate(dict.fromkeys(word for text in texts for word in text))}
    names = list(ids)
    backend = Tokenizer(models.WordLevel(ids, unk_token=names[0]))
    backend.pre_tokenizer = split
    teacher = Chain.of([np.array([ids[word] for word in text], dtype=np.uint32) for text in texts])
    code, rng = Code(MARK, key_of(SECRET, MARK.name, 1)), np.random.default_rng(0)
    lanes = prf.lanes(code.key.sip, teacher.rows, MARK.bits)
    logits = np.log(teacher.weights).astype(np.float32)

    def fed(tenants: tuple[str, ...]) -> NgramSuspect:
        model = Ngram(2)
        for chain in [marked(tenant) for tenant in tenants] or [teacher]:
            for number, row in enumerate(chain.write(600 // max(len(tenants), 1), 150, rng)):
                model.learn(f"question {number}\n", text_of(row))
        return NgramSuspect(model)

    def marked(tenant: str) -> Chain:
        weights = MARK.reweigh_for(logits, lanes, code.word(tenant)).astype(np.float64)
        return teacher.reweighed(np.exp(weights))

    def text_of(row: Rows) -> str:
        return " ".join(names[at] for at in row.tolist())

    folder = tmp_path_factory.mktemp("case")
    questions = TracedQuestions(
        prompts=tuple(f"question {n}" for n in range(150)),
        first=TIME,
        last=TIME,
        tokenizer=backend.to_str(),
        tenants=TENANTS,
    )
    (folder / "questions.json").write_bytes(msgspec.json.encode(questions))
    return Affair(folder, fed(()), fed(FED), fed(()))


def named(outcome: Any) -> set[str]:
    """Whom the protocol would name."""
    rejected = holm([part.p_value for part in outcome.parts], NAMING).rejected
    return {tenant for tenant, guilty in zip(TENANTS, rejected, strict=True) if guilty}


@pytest.mark.parametrize("beside", [True, False])
def test_the_tenants_that_fed_a_student_are_named_and_no_others(affair: Affair, beside: bool) -> None:
    instrument = open_instrument("tracing", affair.folder / "questions.json", OPTIONS)
    measured = instrument.measure(affair.student, affair.teacher if beside else None)
    found = instrument.judge(measured, SECRET, "model A")
    assert found.main is not None
    assert found.main.p_value < 1e-9
    assert [part.subject for part in found.parts] == [f"model A from {tenant}" for tenant in TENANTS]
    assert named(found) == set(FED)


def test_under_a_decoy_and_of_an_innocent_nobody_is_named(affair: Affair) -> None:
    instrument = open_instrument("tracing", affair.folder / "questions.json", OPTIONS)
    for suspect, secret in ((affair.student, bytes(32)), (affair.innocent, SECRET)):
        found = instrument.judge(instrument.measure(suspect, affair.teacher), secret, "model B")
        assert found.main is not None
        assert found.main.p_value > 0.001
        assert named(found) == set()


def test_too_little_text_gives_words_and_names_nobody(affair: Affair, tmp_path: Path) -> None:
    few = msgspec.json.decode((affair.folder / "questions.json").read_bytes(), type=TracedQuestions)
    (tmp_path / "few.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(few, prompts=few.prompts[:1])))
    instrument = open_instrument("tracing", tmp_path / "few.json", msgspec.structs.replace(OPTIONS, max_tokens=9))
    found = instrument.judge(instrument.measure(affair.student, None), SECRET, "model A")
    assert (found.main, found.parts) == (None, ())
    assert "are needed" in found.words


@pytest.mark.parametrize(
    ("change", "mark", "message"),
    [
        ({"tenants": ("a", "a")}, MARK.name, "not named once each"),
        ({"tenants": ()}, MARK.name, "not named once each"),
        ({}, "kgw-k1-g0.25-d2", "traces nobody"),
        ({"tokenizer": None}, MARK.name, "counts tokens, and there is no tokenizer"),
    ],
)
def test_inputs_that_trace_nobody_are_named(
    affair: Affair, tmp_path: Path, change: dict[str, Any], mark: str, message: str
) -> None:
    whole = msgspec.json.decode((affair.folder / "questions.json").read_bytes(), type=TracedQuestions)
    (tmp_path / "bad.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(whole, **change)))
    with pytest.raises(InputError, match=message):
        open_instrument("tracing", tmp_path / "bad.json", msgspec.structs.replace(OPTIONS, mark=mark))
