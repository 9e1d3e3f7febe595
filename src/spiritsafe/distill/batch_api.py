"""The provider's side of batches: files up and down, batches made, looked up and found again (OpenAI's Batch API)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import aiohttp
import msgspec

from spiritsafe.errors import SpiritsafeError
from spiritsafe.teach.openai import refused
from spiritsafe.teach.types import Json, Unwell

ENDPOINT = "/v1/chat/completions"
MARK = "spiritsafe_batch"
PAGE = 100
MOST_PAGES = 50
ENDED = frozenset(("completed", "failed", "expired", "cancelled"))

T = TypeVar("T")


class Fault(msgspec.Struct, frozen=True):
    """Why a batch was not taken."""

    code: str | None = None
    message: str | None = None
    line: int | None = None


class Faults(msgspec.Struct, frozen=True):
    """All of them, as the provider wraps them."""

    data: tuple[Fault, ...] = ()


class Counts(msgspec.Struct, frozen=True):
    """How many of a batch's requests there are, and have ended well or badly."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(msgspec.Struct, frozen=True):
    """One batch as the provider sees it. ``status`` in ``ENDED`` is final; the files are there once it is."""

    id: str
    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Faults | None = None
    request_counts: Counts | None = None
    metadata: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class BatchApi:
    """Speaks to one provider. Every call raises Unwell when it may be repeated, another error when it is no use."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        """``url`` is the server's up to and with ``/v1``."""
        self.url = url
        self._headers = headers

    def upload(self, lines: bytes, mark: str) -> str:
        """Put a file of requests there; returns its id."""
        form = aiohttp.FormData()
        form.add_field("purpose", "batch")
        form.add_field("file", lines, filename=f"{mark}.jsonl", content_type="application/jsonl")
        return str(self._json(self._asked("POST", "/files", data=form))["id"])

    def create(self, file_id: str, mark: str, window: str) -> Batch:
        """Submit an uploaded file. ``mark`` is put into the batch's metadata, by which ``find`` knows it again."""
        body = {
            "input_file_id": file_id,
            "endpoint": ENDPOINT,
            "completion_window": window,
            "metadata": {MARK: mark},
        }
        headers = {"content-type": "application/json", "idempotency-key": mark}
        return self._batch(self._asked("POST", "/batches", data=msgspec.json.encode(body), headers=headers))

    def get(self, batch_id: str) -> Batch:
        """The batch as it stands."""
        return self._batch(self._asked("GET", f"/batches/{batch_id}"))

    def find(self, mark: str) -> Batch | None:
        """The batch that was submitted with ``mark``, whether or not its answer reached us."""
        after: str | None = None
        for _ in range(MOST_PAGES):
            query = {"limit": str(PAGE)} | ({"after": after} if after else {})
            page = self._json(self._asked("GET", "/batches", params=query))
            found = self._read(page.get("data") or [], list[Batch])
            for batch in found:
                if (batch.metadata or {}).get(MARK) == mark:
                    return batch
            if not found or not page.get("has_more"):
                return None
            after = found[-1].id
        return None

    def content(self, file_id: str) -> bytes:
        """The bytes of a file."""
        return _run(self._asked("GET", f"/files/{file_id}/content"))

    def _batch(self, work: Coroutine[Any, Any, bytes]) -> Batch:
        return self._read(self._json(work), Batch)

    def _json(self, work: Coroutine[Any, Any, bytes]) -> Json:
        try:
            body = msgspec.json.decode(_run(work), type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._unwell(f"what came back is no JSON object: {error}") from error
        return body

    def _read(self, value: object, kind: type[T]) -> T:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise self._unwell(f"what came back is no batch: {error}") from error

    async def _asked(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> bytes:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=600)
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
                session.request(method, self.url + path, headers=headers, **options) as response,
            ):
                if response.status == 200:
                    return await response.read()
                trouble: SpiritsafeError = await refused(response, self.url + path)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unwell(f"can't be reached: {error or type(error).__name__}") from error
        raise trouble

    def _unwell(self, message: str) -> Unwell:
        return Unwell(message, where=self.url, remedy="Check that the provider's server is up and well.")


def _run(work: Coroutine[Any, Any, bytes]) -> bytes:
    """Wait for ``work``, from inside a running event loop too."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
