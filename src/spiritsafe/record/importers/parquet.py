"""Tables of exchanges in Parquet: any subset of an exchange's fields as columns, and our own segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spiritsafe.errors import InputError
from spiritsafe.record.importers.rows import NEEDED, from_row
from spiritsafe.record.importers.types import Importer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options

BATCH = 4096


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Read rows in order; places are ``file:row``, counted from 1. All files are opened before the first row."""
    import pyarrow as pa  # noqa: PLC0415 - loaded only for Parquet
    import pyarrow.parquet as pq  # noqa: PLC0415

    for path in paths:
        _check(path)
    for path in paths:
        number = 0
        with pq.ParquetFile(path) as file:
            try:
                for batch in file.iter_batches(BATCH):
                    for row in batch.to_pylist():
                        number += 1
                        yield from_row(_plain(row), f"{path}:{number}", options)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise InputError(
                    f"the table can't be read on: {error}", remedy="Take the whole file", where=f"{path}:{number + 1}"
                ) from error


def _check(path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"the file is not Parquet: {str(error).splitlines()[0]}", remedy="Check --from", where=str(path)
        ) from error
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise InputError(
            f"the table lacks {', '.join(map(repr, missing))}; it has {', '.join(map(repr, names)) or 'no columns'}",
            remedy="Rename the columns that hold the account and the time of each exchange",
            where=str(path),
        )


def _plain(value: Any) -> Any:
    """Bring values that JSON lacks (bytes, times inside unknown columns) to text when they go to ``extra``."""
    if isinstance(value, dict):
        return {name: inner if name == "time" else _plain(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


IMPORTER = Importer("parquet", "a table with account_id, time and any other fields of an exchange", read)
