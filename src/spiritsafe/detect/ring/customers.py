"""Accounts that pay together are one customer: what its own keys do in step is its own affair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from spiritsafe.detect.features import SHARED
from spiritsafe.detect.ring.shared import SharedValues

if TYPE_CHECKING:
    from spiritsafe.detect.types import IntArray, LinkTable

_PAYMENT = next(column for column, (_, kind) in enumerate(SHARED) if kind == "payment")


def customers(table: LinkTable) -> IntArray:
    """The number of each account's customer, [accounts]. A means of payment that very many share joins nobody."""
    n = len(table.accounts)
    shared = table.once(SharedValues)
    rare = shared.rows.filter((shared.rows["column"] == _PAYMENT) & shared.rows["links"]).select("at")
    uses = shared.uses.join(rare, on="at")
    account = uses.get_column("account").to_numpy().astype(np.int64)
    value = uses.get_column("at").to_numpy().astype(np.int64) + n
    size = n + len(shared.rows)
    graph = sparse.coo_matrix((np.ones(len(account)), (account, value)), shape=(size, size))
    _, label = sparse.csgraph.connected_components(graph, directed=False)
    _, number = np.unique(label[:n], return_inverse=True)
    return np.asarray(number, dtype=np.int64)
