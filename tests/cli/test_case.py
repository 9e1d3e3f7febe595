"""``spiritsafe case``."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def account(run) -> str:
    return str(run("account", "add", "Acme", "--json").json["account_id"])


def test_a_case_is_opened_followed_closed_and_reopened(run) -> None:
    case = run("case", "add", "ring_1", "--text", "same phrases", "--by", "ann", "--json").json
    name = case["case_id"]
    run("case", "note", name, "asked them", "--by", "bob")
    assert run("case", "list", "--status", "open", "--json").json["cases"][0]["case_id"] == name
    assert run("case", "close", name, "a benchmark", "--by", "ann", "--json").json["status"] == "closed"
    assert run("case", "list", "--status", "open", "--json").json == {"cases": []}
    assert run("case", "reopen", name, "not quite", "--by", "ann", "--json").json["status"] == "open"
    shown = run("case", "show", name, "--json").json
    assert [(e["kind"], e["by"], e["text"]) for e in shown["events"]] == [
        ("opened", "ann", "same phrases"),
        ("note", "bob", "asked them"),
        ("closed", "ann", "a benchmark"),
        ("reopened", "ann", "not quite"),
    ]
    table = run("case", "show", name).out
    for part in (name, "ring_1", "same phrases", "asked them", "a benchmark", "not quite"):
        assert part in table


def test_cases_are_listed_by_subject(run) -> None:
    one = run("case", "add", "ring_1", "--json").json["case_id"]
    run("case", "add", "ring_2")
    assert [c["case_id"] for c in run("case", "list", "--subject", "ring_1", "--json").json["cases"]] == [one]
    table = run("case", "list").out
    assert "ring_1" in table
    assert "ring_2" in table


def test_who_says_so_is_who_runs_the_program_unless_said(run, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    assert run("case", "add", "ring_1", "--json").json["events"][0]["by"] == "bob"


def test_what_is_wrong_says_what_to_do(run) -> None:
    case = run("case", "add", "ring_1", "--json").json["case_id"]
    for arguments, message in (
        (("add", "ring_1"), f"has an open case, {case}"),
        (("add", ""), "subject is empty"),
        (("note", case, " "), "note is empty"),
        (("close", case, ""), "reason is empty"),
        (("close", case), "Missing argument 'reason'"),
        (("reopen", case, "x"), "has an open case"),
        (("show", "none"), "no case 'none'"),
        (("list", "--status", "lost"), "open"),
    ):
        done = run("case", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert message in done.err


def test_a_case_is_exported_without_a_name_in_the_clear(run, account: str, tmp_path) -> None:
    import stix2

    key = tmp_path / "shared.key"
    key.write_text(bytes(range(32)).hex() + "\n")
    key.chmod(0o600)
    more = tmp_path / "more.jsonl"
    more.write_text('{"kind":"email","value":"a@example.org"}\n')
    name = run("case", "add", account, "--text", "same phrases", "--json").json["case_id"]
    given = ["--shared-key", str(key), "--provider", "Stillhouse", "--identifiers", str(more), "--stix"]
    told = run("case", "export", name, *given)
    parsed = stix2.parse(told.out, allow_custom=False)
    assert [one.type for one in parsed.objects].count("indicator") == 2
    assert account not in told.out
    assert "example.org" not in told.out
    more.write_text("nonsense\n")
    done = run("case", "export", name, *given)
    assert done.code == 2
    assert "more.jsonl:1: it is no identifier" in done.err
