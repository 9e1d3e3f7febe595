"""Accounts, keys, grants, cases and decisions, on SQLite by default and PostgreSQL by URL.

The shape of ``Store`` (``from spiritsafe.store import open_store, Store, new_id, hash_secret``)::

    open_store(url, *, clock=utcnow) -> Store      # a context manager; close() when done
    hash_secret(secret: str) -> bytes              # what Key.hash holds; cache keys by it
    new_id(kind: str) -> str                       # new_id("dec") for a Decision

    generation() -> int     # microseconds; changes when accounts, keys, grants or decisions changed in any process
                            # (not for usage); ResourceError when the database has been out of reach too long

    add_account(name, *, payment=None, kind=None, account_id=None) -> Account
    accounts(*, status=None) -> list[Account]
    account(account_id) -> Account                 # UsageError when there is none; so for key, grant, case, decision
    change_account(account_id, *, name=..., payment=..., kind=..., status=...) -> Account

    add_key(account_id, *, name=None, expires=None, limits=Limits()) -> tuple[Key, str]     # the secret, once
    find_key(secret_or_hash: str | bytes) -> Key | None     # also expired or revoked ones: look at Key.state(now)
    keys(*, account_id=None) -> list[Key]
    key(key_id) -> Key
    change_key(key_id, *, name=..., expires=..., limits=...) -> Key
    rotate_key(key_id, *, overlap: timedelta) -> tuple[Key, str]
    revoke_key(key_id) -> Key

    add_grant(account_id, *, model, purpose, by, expires=None, quota_requests=None, quota_tokens=None) -> Grant
    grants(*, account_id=None, live=False) -> list[Grant]
    grant(grant_id) -> Grant
    change_grant(grant_id, *, purpose=..., expires=..., quota_requests=..., quota_tokens=...) -> Grant
    revoke_grant(grant_id) -> Grant

    decide(decision) -> Decision                   # the same decision_id twice is recorded once
    decisions(*, status=None, subject=None, account_id=None, limit=None) -> list[Decision]     # newest first
    decision(decision_id) -> Decision
    confirm(decision_id, by, reason="") -> Decision             # pending -> in_force
    reverse(decision_id, by, reason, *, account_id=None) -> Decision   # with account_id: lets one account of a ring go
    expire() -> list[Decision]                     # marks what has run out; call it now and then
    appeal(decision_id, text, *, account_id=None) -> Decision          # opens a case or adds to the open one
    standing() -> dict[str, Decision]              # for each account the strictest decision in force

    open_case(subject, by, text="") -> Case
    cases(*, status=None, subject=None) -> list[Case]
    case(case_id) -> Case
    note(case_id, by, text) -> Case
    close_case(case_id, by, reason) -> Case
    reopen_case(case_id, by, reason) -> Case

    add_usage(keys: Mapping[key_id, (requests, tokens)], grants: Mapping[grant_id, (requests, tokens)] = {}) -> None
    usage(*, key_id=None, account_id=None, since: date | None = None) -> list[Usage]
"""
