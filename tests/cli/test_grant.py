"""``spiritsafe grant``."""

from __future__ import annotations

import pytest

from spiritsafe.store import open_store


@pytest.fixture(autouse=True)
def account(run) -> str:
    return str(run("account", "add", "Acme", "--json").json["account_id"])


def add(run, *more: str):
    return run("grant", "add", "Acme", "--model", "small-*", "--purpose", "study", *more, "--json").json


def test_a_grant_is_added_shown_changed_and_revoked(run, account) -> None:
    added = add(run, "--expires", "2100-01-31", "--tokens", "1_000_000", "--requests", "500", "--by", "ann")
    assert (added["account_id"], added["model"], added["purpose"], added["by"]) == (account, "small-*", "study", "ann")
    assert (added["expires"], added["quota_tokens"], added["quota_requests"]) == ("2100-01-31T00:00:00Z", 10**6, 500)
    assert added["live"] is True
    name = added["grant_id"]
    assert run("grant", "show", name, "--json").json == added
    changed = run(
        "grant", "change", name, "--expires", "none", "--tokens", "none", "--requests", "9", "--purpose", "p", "--json"
    ).json
    assert (changed["expires"], changed["quota_tokens"], changed["quota_requests"]) == (None, None, 9)
    assert changed["purpose"] == "p"
    revoked = run("grant", "revoke", name, "--json").json
    assert revoked["live"] is False
    assert revoked["revoked"] is not None
    refused = run("grant", "change", name, "--purpose", "q")
    assert (refused.code, "is revoked" in refused.err) == (2, True)


def test_grants_are_listed_by_account_and_liveness(run, data) -> None:
    run("account", "add", "Other")
    one = add(run)["grant_id"]
    two = run("grant", "add", "Other", "--model", "*", "--purpose", "p", "--tokens", "10", "--json").json["grant_id"]
    with open_store(f"sqlite:///{data}/spiritsafe.db") as store:
        store.add_usage({}, {two: (1, 10)})
    listed = run("grant", "list", "--json").json["grants"]
    assert [(g["grant_id"], g["live"]) for g in listed] == [(one, True), (two, False)]
    assert [g["grant_id"] for g in run("grant", "list", "--live", "--json").json["grants"]] == [one]
    assert [g["grant_id"] for g in run("grant", "list", "--account", "Other", "--json").json["grants"]] == [two]
    table = run("grant", "list").out
    assert one in table
    assert "yes" in table


def test_who_permits_it_is_who_runs_the_program_unless_said(run, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "bob")
    assert add(run)["by"] == "bob"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "none", "--model", "*", "--purpose", "p"), "no account 'none'"),
        (("add", "Acme", "--purpose", "p"), "--model"),
        (("add", "Acme", "--model", "*", "--purpose", ""), "purpose is empty"),
        (("add", "Acme", "--model", "*", "--purpose", "p", "--tokens", "lots"), "no whole number"),
        (("show", "none"), "no grant 'none'"),
        (("change", "none", "--purpose", "p"), "no grant 'none'"),
        (("revoke", "none"), "no grant 'none'"),
    ],
)
def test_what_is_wrong_says_what_to_do(run, arguments: tuple[str, ...], message: str) -> None:
    done = run("grant", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert run("grant", "list", "--json").json == {"grants": []}
