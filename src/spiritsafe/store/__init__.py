"""Accounts, keys, grants, cases and decisions, on SQLite by default and PostgreSQL by URL.

``models`` has the values, ``store`` the store. Its methods, by file:

- ``accounts``: ``add_account``, ``accounts``, ``account``, ``change_account``
- ``keys``: ``add_key`` (the secret is shown once), ``find_key``, ``keys``, ``key``, ``change_key``, ``rotate_key``,
  ``revoke_key``; ``hash_secret`` is what to cache keys by
- ``grants``: ``add_grant``, ``grants``, ``grant``, ``change_grant``, ``revoke_grant``
- ``decisions``: ``decide``, ``decisions``, ``decision``, ``standing``, ``confirm``, ``reverse``, ``expire``,
  ``appeal``; ``new_id("dec")`` names a new one
- ``cases``: ``open_case``, ``cases``, ``case``, ``note``, ``close_case``, ``reopen_case``
- ``usage``: ``add_usage``, ``usage``
- ``store``: ``generation``, ``close``
"""

from spiritsafe.store.models import (
    ACTIONS,
    Account,
    Action,
    Case,
    Decision,
    Event,
    Grant,
    Key,
    Limits,
    Usage,
    strictness,
)
from spiritsafe.store.secrets import hash_secret, new_id
from spiritsafe.store.store import Store, open_store

__all__ = [
    "ACTIONS",
    "Account",
    "Action",
    "Case",
    "Decision",
    "Event",
    "Grant",
    "Key",
    "Limits",
    "Store",
    "Usage",
    "hash_secret",
    "new_id",
    "open_store",
    "strictness",
]
