"""Bringing other people's logs into the record: read, made anonymous to others, without duplicates, sealed."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

from spiritsafe.errors import InputError, Problem
from spiritsafe.record.canonical import canonical
from spiritsafe.record.identity import open_identity
from spiritsafe.record.importers import Options, importer
from spiritsafe.record.layout import layout, record_folder
from spiritsafe.record.log import SealedLog, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from spiritsafe.record.exchange import Content, Exchange
    from spiritsafe.record.identity import Pseudonymizer
    from spiritsafe.record.importers import Item

# So many appends may be under way; so many problems are told in full.
_WINDOW, _TOLD = 4096, 1000


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: exchanges added, skipped because the record has them, and places that hold none.

    ``problems`` counts all of those, ``told`` lists the first thousand.
    """

    added: int
    duplicates: int
    problems: int
    told: tuple[Problem, ...]


def ingest(
    paths: Sequence[Path],
    form: str,
    data: Path,
    *,
    content: Content = "full",
    options: Options | None = None,
    keep_accounts: bool = False,
    progress: Callable[[int], object] = lambda done: None,
) -> Ingested:
    """Read logs of one form (``importers.names()``) into the record of a data folder.

    Identifiers of people and networks are replaced by the data folder's pseudonyms; with
    ``keep_accounts`` accounts and keys stay as the log names them. An exchange is a duplicate if its
    ``exchange_id`` is in the record already or came before; one without an id is given one made of its
    content, so that reading the same log twice adds nothing. Memory grows by some 150 bytes an exchange.
    ``progress`` is called with the number read. Raises InputError for a file that isn't of the form,
    UsageError for an unknown form, ResourceError when the record can't be written.
    """
    chosen = importer(form)
    folder = record_folder(data)
    pseudonyms = open_identity(folder.parent)
    seen, unnamed = _known(folder), Counter[bytes]()
    under_way: deque[Future[int]] = deque()
    added = duplicates = problems = done = 0
    told: list[Problem] = []
    with SealedLog.open(folder, content=content, pace=0.0) as log:
        for done, found in enumerate(chosen.read(paths, options or Options()), 1):
            if done % 1000 == 0:
                progress(done)
            future = (
                found if isinstance(found, Problem) else _append(found, log, pseudonyms, keep_accounts, seen, unnamed)
            )
            if isinstance(future, Problem):
                problems += 1
                told += [future] if problems <= _TOLD else []
            elif future is None:
                duplicates += 1
            else:
                added += 1
                under_way.append(future)
                if len(under_way) >= _WINDOW:
                    under_way.popleft().result()
        for future in under_way:
            future.result()
    progress(done)
    return Ingested(added=added, duplicates=duplicates, problems=problems, told=tuple(told))


def _append(
    item: Item, log: SealedLog, pseudonyms: Pseudonymizer, keep_accounts: bool, seen: set[int], unnamed: Counter[bytes]
) -> Future[int] | Problem | None:
    """Append an exchange; None for one that is there already."""
    try:
        exchange = _named(pseudonymous(item.exchange, pseudonyms, keep_accounts), unnamed)
        key = _key(exchange.exchange_id)
        if key in seen:
            return None
        future = log.append(exchange)
    except InputError as error:
        return Problem(item.where, error.message, error.remedy)
    except RecursionError:
        return Problem(item.where, "the exchange is nested too deeply to be recorded", "Flatten it")
    seen.add(key)
    return future


def pseudonymous(exchange: Exchange, pseudonyms: Pseudonymizer, keep_accounts: bool) -> Exchange:
    """Replace what names people and networks; an address becomes its network first."""

    def hidden(kind: str, value: str | None) -> str | None:
        return None if value is None else pseudonyms.of(kind, value)

    address = exchange.ip_prefix
    return msgspec.structs.replace(
        exchange,
        account_id=exchange.account_id if keep_accounts else pseudonyms.of("account", exchange.account_id),
        key_id=exchange.key_id if keep_accounts else hidden("key", exchange.key_id),
        ip_prefix=None if address is None else pseudonyms.of_address(address) or pseudonyms.of("ip_prefix", address),
        network=hidden("network", exchange.network),
        client=hidden("client", exchange.client),
        payment=hidden("payment", exchange.payment),
        session=hidden("session", exchange.session),
    )


def _named(exchange: Exchange, unnamed: Counter[bytes]) -> Exchange:
    """Name an exchange that has no id after its content; equal ones are counted."""
    if exchange.exchange_id:
        return exchange
    digest = hashlib.blake2b(canonical(exchange), digest_size=16, person=b"spiritsafe-imp-1").digest()
    unnamed[digest] += 1
    times = unnamed[digest]
    return msgspec.structs.replace(exchange, exchange_id=f"import-{digest.hex()}{f'-{times}' if times > 1 else ''}")


def _known(folder: Path) -> set[int]:
    """Return the keys of all exchanges in the record."""
    if not folder.is_dir() or not (layout(folder).journals or layout(folder).manifests):
        return set()
    return {_key(name) for name in frame(folder).select("exchange_id").collect()["exchange_id"]}


def _key(exchange_id: str) -> int:
    data = exchange_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=12).digest(), "little")
