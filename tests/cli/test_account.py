"""``spiritsafe account``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from spiritsafe.record.identity import open_identity
from spiritsafe.store import Decision, new_id, open_store


def test_an_account_is_added_listed_shown_changed_and_revoked(run) -> None:
    added = run("account", "add", "Acme", "--kind", "agency", "--json").json
    assert (added["name"], added["kind"], added["status"], added["payment"]) == ("Acme", "agency", "active", None)
    assert run("account", "list", "--json").json == {"accounts": [added]}
    assert run("account", "show", "Acme", "--json").json["account_id"] == added["account_id"]
    changed = run("account", "change", "Acme", "--name", "Acme Ltd", "--kind", "none", "--json").json
    assert (changed["name"], changed["kind"]) == ("Acme Ltd", None)
    key = run("key", "add", "Acme Ltd", "--json").json
    assert run("account", "revoke", added["account_id"], "--json").json["status"] == "closed"
    assert run("key", "show", key["key_id"], "--json").json["state"] == "revoked"
    assert run("account", "list", "--status", "active", "--json").json == {"accounts": []}
    reopened = run("account", "change", added["account_id"], "--status", "active", "--json").json
    assert reopened["status"] == "active"


def test_how_it_pays_is_stored_as_a_keyed_hash_alone(run, data) -> None:
    added = run("account", "add", "Acme", "--payment", "visa-1234", "--json").json
    assert added["payment"] == open_identity(data).of("payment", "visa-1234")
    assert run("account", "change", "Acme", "--payment", "none", "--json").json["payment"] is None
    again = run("account", "change", "Acme", "--payment", "visa-1234", "--json").json
    assert again["payment"] == added["payment"]
    assert not [p for p in data.rglob("*") if p.is_file() and b"visa-1234" in p.read_bytes()]


def test_showing_an_account_tells_what_stands_about_it(run, data) -> None:
    account_id = run("account", "add", "Acme", "--json").json["account_id"]
    key = run("key", "add", "Acme", "--json").json
    grant = run("grant", "add", "Acme", "--model", "*", "--purpose", "study", "--json").json
    with open_store(f"sqlite:///{data}/spiritsafe.db") as store:
        store.add_usage({key["key_id"]: (3, 70)})
        decision = Decision(
            decision_id=new_id("dec"),
            time=datetime.now(UTC),
            subject=account_id,
            subject_kind="account",
            accounts=(account_id,),
            action="throttle",
            rule="two-families",
            reasons=("asks for one thing only",),
            evidence=(),
            by="policy:12ab",
            status="in_force",
            expires=datetime.now(UTC) + timedelta(days=1),
        )
        store.decide(decision)
    shown = run("account", "show", "Acme", "--json").json
    assert [k["key_id"] for k in shown["keys"]] == [key["key_id"]]
    assert "hash" not in shown["keys"][0]
    assert [g["grant_id"] for g in shown["grants"]] == [grant["grant_id"]]
    assert (shown["usage"][0]["requests"], shown["usage"][0]["tokens"]) == (3, 70)
    assert shown["standing"]["decision_id"] == decision.decision_id
    table = run("account", "show", "Acme").out
    for part in (account_id, key["key_id"], grant["grant_id"], decision.decision_id, "throttle", "two-families"):
        assert part in table


def test_tables_are_for_people(run) -> None:
    assert "active" in run("account", "add", "Ac[/b]me").out
    out = run("account", "list").out
    assert "Ac[/b]me" in out
    assert "account" in out.splitlines()[0]


def test_what_is_wrong_says_what_to_do(run) -> None:
    nothing = run("account", "list")
    assert (nothing.code, nothing.out) == (2, "")
    assert "spiritsafe account add NAME" in nothing.err
    run("account", "add", "Acme", "--id", "acme")
    for arguments, message in (
        (("add", "Other", "--id", "acme"), "already is an account"),
        (("add", " "), "name is empty"),
        (("show", "none"), "no account 'none'"),
        (("change", "none", "--kind", "x"), "no account 'none'"),
        (("revoke", "none"), "no account 'none'"),
        (("change", "acme", "--status", "gone"), "active"),
    ):
        done = run("account", *arguments)
        assert done.code == 2, arguments
        assert message in done.err
