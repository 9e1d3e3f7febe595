"""vLLM's own request log (``--enable-log-requests``, and ``--enable-log-outputs`` for the answers).

Lines as its logger writes them, plain or as JSON with a ``message``. Three kinds count; all others pass:

    Received request ID: [prompt: '...', ]params: SamplingParams(...), ...
    Request ID details: prompt: '...', ...                      (newer versions, at level DEBUG)
    Generated response ID[ (streaming delta|complete)]: output: '...', ... finish_reason: ...

The prompt is the text after the chat template; it becomes one user's turn, and ``extra`` says so. The log
names no account, no model and no year: the year is taken from the file's last change.
"""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.importers.lines import text_lines
from spiritsafe.record.importers.shape import decoded, mapping, moment
from spiritsafe.record.importers.types import Importer, Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options

_LITERAL = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|None"""
_TIME = re.compile(r"\b(\d\d-\d\d \d\d:\d\d:\d\d)(?:[.,]\d+)? \[?[\w./]+:\d+\]")
_RECEIVED = re.compile(rf"Received request (\S+): (?:prompt: ({_LITERAL}), )?params: (.*)", re.DOTALL)
_DETAILS = re.compile(rf"Request (\S+) details: prompt: ({_LITERAL})")
_GENERATED = re.compile(
    rf"Generated response (\S+?)( \(streaming (?:delta|complete)\))?: output: ({_LITERAL})"
    r"(?:, output_token_ids: (\[[^\]]*\]|\([^)]*\)|None))?.*?finish_reason: (\w+)",
    re.DOTALL,
)
_OURS = re.compile(r"Received request |Request \S+ details: |Generated response ")
_PARAM = re.compile(rf"(\w+)=({_LITERAL}|True|False|-?\d[\w.+-]*|\[[^\]]*\])")
_PART = re.compile(r"-\d+$")


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Join what the log says of each request; one that was never answered comes last, without an answer."""
    for path in paths:
        calls: dict[str, _Call] = {}
        changed = datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else datetime.now(UTC)
        for found in text_lines(path):
            if isinstance(found, Problem):
                yield found
                continue
            where, line = found
            said, time = _line(line, changed, options.zone)
            if not _OURS.search(said):
                continue
            done = _note(calls, said, where, time)
            if done is None:
                yield Problem(where, "a line of the request log can't be read", "Check that the line is whole")
            elif done:
                yield _exchange(done, calls.pop(done), options)
        for name, call in calls.items():
            yield _exchange(name, call, options)


class _Call:
    """What is known of one request so far."""

    def __init__(self, where: str, time: datetime | None) -> None:
        self.where = where
        self.begun = time
        self.ended: datetime | None = None
        self.prompt: str | None = None
        self.params: dict[str, Any] = {}
        self.output: str | None = None
        self.tokens: int | None = None
        self.finish: str | None = None


def _note(calls: dict[str, _Call], said: str, where: str, time: datetime | None) -> str | None:
    """Note one line; returns the request it ends, an empty text for none, None for a line that can't be read."""
    if match := _RECEIVED.search(said):
        call = calls.setdefault(match[1], _Call(where, time))
        call.begun = call.begun or time
        call.prompt = _literal(match[2]) or call.prompt
        call.params = _params(match[3])
        return ""
    if match := _DETAILS.search(said):
        call = calls.setdefault(match[1], _Call(where, time))
        call.prompt = _literal(match[2])
        return ""
    if match := _GENERATED.search(said):
        name = match[1] if match[1] in calls else next((n for n in calls if _PART.sub("", n) == match[1]), match[1])
        call = calls.setdefault(name, _Call(where, time))
        text = _literal(match[3]) or ""
        if match[2] and "delta" in match[2]:
            call.output = (call.output or "") + text
            return ""
        call.output, call.ended, call.finish = text or call.output, time, match[5]
        call.tokens = len(ast.literal_eval(match[4])) if match[4] and match[4] != "None" else None
        return name
    return None


def _exchange(name: str, call: _Call, options: Options) -> Found:
    if call.begun is None:
        return Problem(
            call.where, "nothing in the log says when this request came in", "Log times: vLLM's default format does"
        )
    latency = (call.ended - call.begun).total_seconds() * 1000 if call.ended else None
    exchange = Exchange(
        exchange_id=name,
        time=call.begun,
        account_id=options.account,
        endpoint="/v1/chat/completions" if name.startswith("chatcmpl") else "/v1/completions",
        messages=(Message("user", call.prompt),) if call.prompt is not None else None,
        completion=call.output,
        completion_tokens=call.tokens,
        latency_ms=latency,
        status=200 if call.finish else None,
        params=call.params,
        extra={
            **({"rendered_prompt": True} if call.prompt is not None else {}),
            **({"finish": call.finish} if call.finish else {}),
        },
    )
    return Item(call.where, exchange)


def _line(line: str, changed: datetime, zone: tzinfo) -> tuple[str, datetime | None]:
    """Return a line's message and time."""
    if line.startswith("{"):
        record = mapping(decoded(line))
        stamp = record.get("asctime", record.get("timestamp", record.get("time")))
        return str(record.get("message", "")), _short(str(stamp), changed, zone) or moment(stamp, zone)
    match = _TIME.search(line)
    return line, _short(match[1], changed, zone) if match else None


def _short(stamp: str, changed: datetime, zone: tzinfo) -> datetime | None:
    """Read a time without a year: the last one of that date before the file was changed."""
    for year in (changed.year + 1, changed.year, changed.year - 1):
        try:
            found = datetime.strptime(f"{year}-{stamp[:14]}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
        except ValueError:
            continue
        if found <= changed + timedelta(days=1):
            return found
    return None


def _literal(written: str | None) -> str | None:
    """Undo Python's ``repr`` of a text."""
    if written is None or written == "None":
        return None
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return written
    return value if isinstance(value, str) else None


def _params(written: str) -> dict[str, Any]:
    """Read the settings that say something out of ``SamplingParams(...)``."""
    found = {}
    for name, value in _PARAM.findall(written.split("), ", 1)[0]):
        try:
            read_value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            read_value = value
        if read_value not in (None, [], ""):
            found[name] = read_value
    return found


IMPORTER = Importer("vllm", "vLLM's request log", read)
