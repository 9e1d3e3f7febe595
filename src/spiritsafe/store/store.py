"""The store: everything that people and policies have set down about accounts, in one database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from spiritsafe.store.accounts import Accounts
from spiritsafe.store.base import utcnow
from spiritsafe.store.cases import Cases
from spiritsafe.store.decisions import Decisions
from spiritsafe.store.engine import LOCK_SECONDS, make_engine, parse_url, shown, translated
from spiritsafe.store.generation import Watch, watch
from spiritsafe.store.grants import Grants
from spiritsafe.store.keys import Keys
from spiritsafe.store.schema import bring_up_to_date
from spiritsafe.store.usage import Counting


class Store(Accounts, Keys, Grants, Decisions, Cases, Counting):
    """An open store. Its methods may be called from several threads; each is one transaction.

    Whatever the database does, they raise ``ResourceError`` (out of reach, locked, full) or ``UsageError``
    (no such thing, not like this), each with its remedy.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        super().__init__(engine, clock)
        self._watch: Watch = watch(engine)

    def generation(self) -> int:
        """A number that grows whenever accounts, keys, grants or decisions changed, in any process.

        Microseconds a call: ask before every use of what you keep in memory, and ask *before* you read it
        anew. How stale it can be is said in ``store.generation``. Raises ``ResourceError`` if it can't be known.
        """
        return self._watch.current()

    def close(self) -> None:
        """Let go of every connection."""
        self._watch.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_store(url: str, *, clock: Callable[[], datetime] = utcnow, lock_seconds: float = LOCK_SECONDS) -> Store:
    """Open the store at ``url`` (``sqlite:///PATH``, made if it isn't there, or ``postgresql://USER@HOST/NAME``)
    and bring its tables up to date.

    ``lock_seconds`` is how long a call waits for another process's lock. Raises ``UsageError`` for a URL that
    can't be used, ``ResourceError`` for a database that can't be reached, and ``InputError`` for one that a newer
    version wrote or that is none.
    """
    engine = make_engine(parse_url(url), lock_seconds)
    try:
        with translated(shown(engine.url)):
            bring_up_to_date(engine, lock_seconds)
        return Store(engine, clock)
    except BaseException:
        engine.dispose()
        raise
