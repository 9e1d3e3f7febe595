from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spiritsafe.errors import ResourceError
from spiritsafe.gateway.shelf import Shelf
from spiritsafe.gateway.wire import CHAT

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def ask(model: str = "m", **metadata: str) -> Any:
    return CHAT.ask({"model": model, "messages": [], "metadata": metadata})


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path / "stored.db")
    yield made
    made.close()


async def page(shelf: Shelf, **options: Any) -> list[str]:
    given = {"after": None, "limit": 10, "newest_first": False, "model": None, "metadata": {}}
    return [kept.id for kept in await shelf.page("acc", **{**given, **options})]


async def test_what_is_put_is_found_by_its_own_account_alone(shelf: Shelf) -> None:
    await shelf.put("acc", "c1", 4, ask(topic="stills"), NOW)
    kept = await shelf.get("acc", "c1")
    assert kept is not None
    assert (kept.row, kept.created, kept.model, kept.metadata) == (4, NOW, "m", {"topic": "stills"})
    assert await shelf.get("other", "c1") is None
    assert await shelf.get("acc", "c2") is None


async def test_pages_go_forth_and_back_and_by_model_and_metadata(shelf: Shelf) -> None:
    for row in range(5):
        await shelf.put("acc", f"c{row}", row, ask("m" if row % 2 else "n", part=str(row % 2)), NOW)
    await shelf.put("other", "x", 9, ask(), NOW)
    assert await page(shelf, limit=2) == ["c0", "c1"]
    assert await page(shelf, limit=2, after="c1") == ["c2", "c3"]
    assert await page(shelf, limit=2, newest_first=True) == ["c4", "c3"]
    assert await page(shelf, newest_first=True, after="c1") == ["c0"]
    assert await page(shelf, model="m") == ["c1", "c3"]
    assert await page(shelf, metadata={"part": "0"}) == ["c0", "c2", "c4"]
    assert await page(shelf, metadata={"part": "0", "no": "such"}) == []


async def test_metadata_can_be_replaced_and_what_is_deleted_is_gone(shelf: Shelf) -> None:
    await shelf.put("acc", "c1", 1, ask(a="1"), NOW)
    await shelf.annotate("acc", "c1", {"b": "2"})
    kept = await shelf.get("acc", "c1")
    assert kept is not None
    assert kept.metadata == {"b": "2"}
    await shelf.delete("acc", "c1")
    await shelf.annotate("acc", "c1", {"c": "3"})
    assert await shelf.get("acc", "c1") is None
    assert await page(shelf) == []


async def test_an_id_that_comes_again_is_the_newer_one(shelf: Shelf) -> None:
    await shelf.put("acc", "c1", 1, ask(), NOW)
    await shelf.delete("acc", "c1")
    await shelf.put("acc", "c1", 2, ask(), NOW)
    kept = await shelf.get("acc", "c1")
    assert kept is not None
    assert kept.row == 2


async def test_the_index_outlives_the_process_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = Shelf(tmp_path / "stored.db")
    await first.put("acc", "c1", 1, ask(), NOW)
    first.close()
    second = Shelf(tmp_path / "stored.db")
    assert await second.get("acc", "c1") is not None
    second.close()
    assert (tmp_path / "stored.db").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_index_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "stored.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ResourceError, match="can be deleted"):
        Shelf(tmp_path / "stored.db")
