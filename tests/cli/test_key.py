"""``spiritsafe key``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from spiritsafe.store import hash_secret, open_store


@pytest.fixture(autouse=True)
def account(run) -> str:
    return str(run("account", "add", "Acme", "--json").json["account_id"])


def test_a_key_is_added_and_its_secret_is_shown_once(run, data, account) -> None:
    added = run("key", "add", "Acme", "--name", "laptop", "--rpm", "60", "--tpd", "1_000_000", "--json").json
    secret = added.pop("secret")
    assert secret.startswith(added["prefix"] + "_")
    assert (added["account_id"], added["name"], added["state"]) == (account, "laptop", "live")
    assert added["limits"] == {
        "requests_per_minute": 60,
        "tokens_per_minute": None,
        "requests_per_day": None,
        "tokens_per_day": 1_000_000,
    }
    with open_store(f"sqlite:///{data}/spiritsafe.db") as store:
        assert store.find_key(secret).key_id == added["key_id"]
    for command in (("list",), ("show", added["key_id"]), ("show", added["prefix"]), ("list", "--json")):
        out = run("key", *command).out
        assert added["prefix"] in out
        assert secret not in out
        assert hash_secret(secret).hex() not in out
    assert run("key", "list", "--json").json == {"keys": [added]}


def test_for_people_the_secret_stands_alone_on_its_line(run) -> None:
    out = run("key", "add", "Acme").out
    (line,) = [line for line in out.splitlines() if line.startswith("ssk_")]
    assert line == line.strip()
    assert "can't be shown again" in out


def test_keys_are_listed_by_account(run) -> None:
    run("account", "add", "Other")
    mine = run("key", "add", "Acme", "--json").json["key_id"]
    theirs = run("key", "add", "Other", "--json").json["key_id"]
    assert [k["key_id"] for k in run("key", "list", "--json").json["keys"]] == [mine, theirs]
    assert [k["key_id"] for k in run("key", "list", "--account", "Other", "--json").json["keys"]] == [theirs]


def test_expiry_is_a_length_a_date_or_none(run) -> None:
    key = run("key", "add", "Acme", "--expires", "90d", "--json").json
    ends = datetime.fromisoformat(key["expires"])
    assert timedelta(days=89, hours=23) < ends - datetime.now(UTC) < timedelta(days=90, hours=1)
    changed = run("key", "change", key["key_id"], "--expires", "2100-01-31", "--json").json
    assert changed["expires"] == "2100-01-31T00:00:00Z"
    assert run("key", "change", key["key_id"], "--expires", "none", "--json").json["expires"] is None


def test_a_change_touches_only_what_is_given(run) -> None:
    key = run("key", "add", "Acme", "--name", "ci", "--rpm", "60", "--rpd", "500", "--json").json
    changed = run("key", "change", key["prefix"], "--rpm", "none", "--tpm", "9,000", "--name", "ci 2", "--json").json
    assert changed["name"] == "ci 2"
    assert changed["limits"] == {
        "requests_per_minute": None,
        "tokens_per_minute": 9000,
        "requests_per_day": 500,
        "tokens_per_day": None,
    }
    assert "ci 2" in run("key", "change", key["prefix"]).out


def test_rotation_hands_out_a_new_secret_and_lets_the_old_one_go_on(run, data) -> None:
    old = run("key", "add", "Acme", "--json").json
    new = run("key", "rotate", old["key_id"], "--overlap", "7d", "--json").json
    assert new["secret"] != old["secret"]
    shown = run("key", "show", old["key_id"], "--json").json
    assert (shown["state"], shown["rotated_to"]) == ("live", new["key_id"])
    last = run("key", "rotate", new["key_id"], "--overlap", "0s")
    assert "ssk_" in last.out
    assert run("key", "show", new["key_id"], "--json").json["state"] == "expired"


def test_a_revoked_key_stays_revoked(run) -> None:
    key = run("key", "add", "Acme", "--json").json
    assert run("key", "revoke", key["prefix"], "--json").json["state"] == "revoked"
    assert "revoked" in run("key", "revoke", key["prefix"]).out
    refused = run("key", "change", key["prefix"], "--name", "x")
    assert (refused.code, "is revoked" in refused.err) == (2, True)


def test_what_was_used_is_shown_by_day(run, data) -> None:
    key_id = run("key", "add", "Acme", "--json").json["key_id"]
    with open_store(f"sqlite:///{data}/spiritsafe.db") as store:
        store.add_usage({key_id: (3, 123_456)})
    assert run("key", "show", key_id, "--json").json["usage"][0]["tokens"] == 123_456
    assert "123456" in run("key", "show", key_id).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "none"), "no account 'none'"),
        (("add", "Acme", "--rpm", "many"), "no whole number"),
        (("add", "Acme", "--rpm", "0"), "requests per minute can't be 0"),
        (("add", "Acme", "--expires", "soon"), "is no time"),
        (("add", "Acme", "--expires", "2020-01-01"), "in the past"),
        (("show", "none"), "no key 'none'"),
        (("revoke", "none"), "no key 'none'"),
        (("rotate", "none"), "no key 'none'"),
        (("rotate", "none", "--overlap", "a day"), "no length of time"),
        (("list", "--account", "none"), "no account 'none'"),
    ],
)
def test_what_is_wrong_says_what_to_do(run, arguments: tuple[str, ...], message: str) -> None:
    done = run("key", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert run("key", "list", "--json").json == {"keys": []}
