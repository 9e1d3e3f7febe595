"""Answers that are on disk already, found again by the digest of their request, in this run's record or in others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from spiritsafe.distill.stages import Run
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, message_text
from spiritsafe.record.reader import read

# What of a request's parameters changes its answer. Anything else (a user's tag, stored or not) does not.
DECIDING = ("temperature", "top_p", "max_tokens", "seed", "stop", "top_logprobs")
_SAME = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens", "stop_sequences": "stop"}


def request_digest(exchange: Exchange) -> str | None:
    """SHA-256 over model, conversation and the parameters that change an answer; None where the text was not kept.

    Two spellings of one parameter count as one, a list with one stop string as that string, and defaults that an
    API fills in (temperature 1, top_p 1, no stop) as if they had been left out.
    """
    if exchange.messages is None or exchange.model is None:
        return None
    params = {_SAME.get(name, name): value for name, value in exchange.params.items()}
    kept = {name: _plain(params[name]) for name in DECIDING if params.get(name) is not None}
    kept = {n: v for n, v in kept.items() if (n, v) not in (("temperature", 1), ("top_p", 1), ("top_logprobs", 0))}
    turns = [[m.role, message_text(m)] for m in exchange.messages if m.role != "system"]
    system = exchange.system or "\n".join(message_text(m) for m in exchange.messages if m.role == "system") or None
    parts = {
        "model": exchange.model,
        "system": system,
        "turns": turns,
        "params": {n: v for n, v in kept.items() if v != []},
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [value] if isinstance(value, str) else value


def usable(exchange: Exchange) -> bool:
    """Whether the exchange ended well and holds an answer."""
    return (
        exchange.status in (None, 200)
        and exchange.completion is not None
        and exchange.extra.get("finish") != "cancelled"
    )


class Answers:
    """Answers by request. One that was drawn with a seed serves the request with that seed, again and again; those
    drawn without (most logs) are interchangeable, and each serves one request only.
    """

    def __init__(self) -> None:
        self._seeded: dict[str, Exchange] = {}
        self._unseeded: dict[str, list[Exchange]] = defaultdict(list)
        self._ids: set[str] = set()

    def add(self, exchange: Exchange) -> bool:
        """Remember an answer; False if it is no usable answer or was known."""
        digest = request_digest(exchange)
        if digest is None or not usable(exchange) or exchange.exchange_id in self._ids:
            return False
        self._ids.add(exchange.exchange_id)
        if exchange.params.get("seed") is None:
            self._unseeded[digest].append(exchange)
        else:
            self._seeded.setdefault(digest, exchange)
        return True

    def load(self, folder: Path) -> int:
        """Add every answer of a record; returns how many there were."""
        return sum(self.add(exchange) for _, exchange in read(folder))

    def take(self, request: Exchange) -> Exchange | None:
        """An answer to ``request`` (an exchange without its answer), None where there is none (left)."""
        found = self._seeded.get(request_digest(request) or "")
        if found is not None:
            return found
        unseeded = {name: value for name, value in request.params.items() if name != "seed"}
        left = self._unseeded.get(request_digest(msgspec.structs.replace(request, params=unseeded)) or "")
        return left.pop(0) if left else None


def record_folder(path: Path) -> Path:
    """Where the record lies in a run's folder, a data folder, or a record's own folder."""
    for folder in (path / "collect" / "record", path / "record", path):
        if (folder / "key.pub").is_file():
            return folder
    raise InputError("no record in it", remedy="Name a data folder, or the folder of another run.", where=str(path))


def load_all(folders: Iterable[Path]) -> Answers:
    """The answers of several records together."""
    answers = Answers()
    for folder in folders:
        answers.load(record_folder(folder))
    return answers


def reusable(run: Run) -> list[Path]:
    """The records whose answers a run may take: those its recipe names, and its own that were set aside when its
    collect section changed.
    """
    aside = [folder / "record" for folder in sorted(run.folder.glob("collect.*")) if (folder / "record").is_dir()]
    return [*(record_folder(run.find(name)) for name in run.recipe.collect.reuse), *aside]
