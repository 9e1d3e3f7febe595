from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spiritsafe.errors import InputError
from spiritsafe.protect import twins
from spiritsafe.protect.keys import Keyring
from spiritsafe.prove.gather import from_marks, from_texts, from_twins
from spiritsafe.prove.plan import make_plan, read_case
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.keys import secret
from spiritsafe.record.log import SealedLog

TIME = datetime(2026, 11, 3, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What a gateway with twins leaves behind."""
    folder = tmp_path / "data"
    root = secret(folder / "twins" / "keys" / "twins.key")
    with SealedLog.open(folder / "twins" / "record") as log:
        key = twins.epoch_key(root, "2026-11")
        log.append(twins.commitment_row(key, "2026-11", TIME - timedelta(days=1))).result()
        for n in range(3):
            served = Exchange(
                exchange_id=f"ex_{n}", time=TIME, account_id="a", messages=(Message("user", "why?"),), completion="x"
            )
            for row in twins.exchanges_of(served, (f"one {n}", f"two {n}"), (2, 2)):
                log.append(row).result()
    return folder


def test_a_case_from_a_gateway_is_ready_to_be_planned(data: Path, tmp_path: Path) -> None:
    path = from_twins(data, "2026-11", tmp_path / "case", "a model: ours?")
    case = read_case(path)
    assert (case.name, case.subject) == ("case", "a model: ours?")
    plan = make_plan(case, path.parent)
    assert (plan.parts[0].n, plan.parts[0].options.epoch) == (3, "2026-11")
    assert stat.S_IMODE((path.parent / "twins.key").stat().st_mode) == 0o600


def test_an_epoch_without_pairs_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no twins of '2026-12'"):
        from_twins(data, "2026-12", tmp_path / "case", "x")
    with pytest.raises(InputError, match="no record"):
        from_twins(tmp_path / "nothing", "2026-11", tmp_path / "case", "x")


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_rights_holder_is_told_which_versions_to_publish(tmp_path: Path) -> None:
    texts = [{"name": f"poem {n}", "versions": [f"first {n}", f"second {n}"]} for n in range(40)]
    path = from_texts(lines(tmp_path / "texts.jsonl", *texts), tmp_path / "case", "a model")
    published = [json.loads(line) for line in (path.parent / "publish.jsonl").read_text().splitlines()]
    assert len(published) == 40
    assert {row["text"].split()[0] for row in published} == {"first", "second"}
    key = bytes.fromhex((path.parent / "twins.key").read_text())
    for row, pair in zip(published, twins.read_pairs(path.parent / "pairs.jsonl"), strict=True):
        assert row["text"] == twins.served_text(pair, key)
    assert make_plan(read_case(path), path.parent).parts[0].n == 40


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"name": "a"}], ":1: it is no text"),
        ([{"name": "a", "versions": ["x", "x"]}], ":1: its name came before, or its versions are the same"),
        ([{"name": "a", "versions": ["x", "y"]}] * 2, ":2: its name came before"),
        ([], "there are no texts"),
    ],
)
def test_texts_that_are_none_are_named(tmp_path: Path, rows: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_texts(lines(tmp_path / "texts.jsonl", *rows), tmp_path / "case", "x")


def test_a_case_is_not_written_over(data: Path, tmp_path: Path) -> None:
    from_twins(data, "2026-11", tmp_path / "case", "x")
    with pytest.raises(InputError, match="there is a case already"):
        from_twins(data, "2026-11", tmp_path / "case", "x")


def marked(folder: Path, name: str, texts: bool = True) -> Path:
    """What a gateway leaves behind whose answers were marked in two epochs."""
    ring = Keyring(folder)
    made = [ring.commit(name, TIME - timedelta(days=1)), ring.commit(name, TIME - timedelta(hours=1))]
    with SealedLog.open(folder / "record") as log:
        for n in range(12):
            row = Exchange(
                exchange_id=f"ex_{n}",
                time=TIME + timedelta(hours=n),
                account_id=f"acc_{n % 3}",
                messages=(Message("user", f"why {n // 2}?"),) if texts else None,
                completion="so",
                mark_id=made[n // 6].mark_id,
            )
            log.append(row).result()
    return folder


@pytest.mark.parametrize(("name", "test"), [("traced-k1-g0.25-d2-m64", "tracing"), ("choice-n4-k2", "radioactivity")])
def test_a_case_from_marked_answers_is_ready_to_be_planned(folder: Path, tmp_path: Path, name: str, test: str) -> None:
    data = marked(tmp_path / "data", name)
    path = from_marks(data, 2, tmp_path / "case", "a model", lambda: folder / "tokenizer.json")
    case = read_case(path)
    plan = make_plan(case, path.parent)
    assert [part.test for part in plan.parts] == [test]
    assert (plan.parts[0].n, plan.parts[0].options.mark, plan.parts[0].options.epoch) == (3, name, "2")
    assert (plan.parts[0].first, plan.parts[0].last) == (TIME + timedelta(hours=6), TIME + timedelta(hours=11))
    questions = json.loads((path.parent / "questions.json").read_text())
    assert sorted(questions["prompts"]) == ["why 3?", "why 4?", "why 5?"]
    assert questions.get("tenants") == (["acc_0", "acc_1", "acc_2"] if test == "tracing" else None)
    assert stat.S_IMODE((path.parent / "mark.key").stat().st_mode) == 0o600


def test_an_epoch_that_marked_nothing_or_kept_no_text_is_named(tmp_path: Path) -> None:
    data = marked(tmp_path / "data", "choice-n4-k2")
    Keyring(data).commit("choice-n4-k2")
    with pytest.raises(InputError, match="nothing is marked choice-n4-k2@3"):
        from_marks(data, 3, tmp_path / "case", "x", Path)
    with pytest.raises(InputError, match="was not kept"):
        from_marks(marked(tmp_path / "blind", "choice-n4-k2", texts=False), 1, tmp_path / "case", "x", Path)
