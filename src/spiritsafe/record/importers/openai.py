"""What OpenAI's API keeps: stored chat completions, and the files of a batch.

Lines (or list pages with ``data``) of four kinds: a chat completion, bare or with its ``messages`` added;
a response; a batch's request (``custom_id``, ``body``); a batch's result (``custom_id``, ``response``,
``error``). Requests and results are joined by ``custom_id``, over all files given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from spiritsafe.errors import Problem
from spiritsafe.record.exchange import Exchange
from spiritsafe.record.importers.lines import json_documents
from spiritsafe.record.importers.shape import answer, chat, count, first, mapping, moment, objects, text, without
from spiritsafe.record.importers.types import Importer, Item

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from spiritsafe.record.importers.types import Found, Options

_ASKED = ("model", "messages", "input", "prompt", "instructions", "user", "safety_identifier", "metadata")
_ANSWERED = ("id", "object", "created", "created_at", "model", "choices", "usage", "output")


def read(paths: Sequence[Path], options: Options) -> Iterator[Found]:
    """Read completions as they come; results of a batch once the last file's requests are known."""
    requests: dict[str, tuple[str, dict[str, Any]]] = {}
    results: dict[str, tuple[str, dict[str, Any]]] = {}
    for path in paths:
        for found in json_documents(path):
            if isinstance(found, Problem):
                yield found
                continue
            where, document = found
            for item in objects(document["data"]) if document.get("object") == "list" else [document]:
                custom = item.get("custom_id")
                if not isinstance(custom, str):
                    yield _completion(item, mapping(item), where, options)
                elif "body" in item:
                    requests[custom] = where, item
                else:
                    results[custom] = where, item
    for custom, (where, result) in results.items():
        request = requests.pop(custom, (where, {}))[1]
        yield _result(result, request, where, options)
    for custom, (where, _) in requests.items():
        yield Problem(where, f"the request {custom!r} has no result in the files given", "Give the batch's output too")


def _result(result: dict[str, Any], request: dict[str, Any], where: str, options: Options) -> Found:
    response = mapping(result.get("response"))
    body, asked = mapping(response.get("body")), mapping(request.get("body"))
    found = _completion(body, asked, where, options, endpoint=text(request.get("url")))
    if isinstance(found, Problem):
        reason = mapping(body.get("error")) or mapping(result.get("error"))
        told = first(reason.get("message"), reason.get("code")) or found.message
        return Problem(where, f"the request {result['custom_id']!r} failed: {told}", "Ask it again")
    exchange = found.exchange
    extra = {**exchange.extra, "custom_id": result["custom_id"], **without(result, "custom_id", "response", "error")}
    status = count(response.get("status_code")) or exchange.status
    return Item(where, msgspec.structs.replace(exchange, extra=extra, status=status))


def _completion(
    body: dict[str, Any], asked: dict[str, Any], where: str, options: Options, endpoint: str | None = None
) -> Found:
    kind = body.get("object")
    time = moment(body.get("created", body.get("created_at")), options.zone)
    if kind not in ("chat.completion", "text_completion", "response") or time is None:
        return Problem(where, "this is no completion of OpenAI's API: it lacks object or created", "Check --from")
    choices, usage = objects(body.get("choices")), mapping(body.get("usage"))
    if kind == "response":
        said, reasoning = _output(objects(body.get("output")))
    elif choices:
        said, reasoning = answer(choices[0].get("message", choices[0].get("text")))
    else:
        said, reasoning = None, None
    system, messages = chat(asked.get("messages", asked.get("input", asked.get("prompt"))))
    metadata = {**mapping(asked.get("metadata")), **mapping(body.get("metadata"))}
    details = mapping(usage.get("completion_tokens_details")) or mapping(usage.get("output_tokens_details"))
    rest = {} if asked is body else without(asked, *_ASKED)
    exchange = Exchange(
        exchange_id=text(body.get("id")) or "",
        time=time,
        account_id=first(asked.get("safety_identifier"), asked.get("user"), metadata.get("user")) or options.account,
        model=first(body.get("model"), asked.get("model")),
        endpoint=endpoint
        or {"response": "/v1/responses", "text_completion": "/v1/completions"}.get(str(kind))
        or "/v1/chat/completions",
        system=system or text(asked.get("instructions")),
        messages=messages,
        completion=said,
        reasoning=reasoning,
        prompt_tokens=count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        completion_tokens=count(usage.get("completion_tokens", usage.get("output_tokens"))),
        reasoning_tokens=count(details.get("reasoning_tokens")),
        status=200,
        params=rest,
        extra={
            **without(body, *_ANSWERED, *_ASKED),
            **({"metadata": metadata} if metadata else {}),
            **({"choices": choices} if len(choices) > 1 or _more(choices) else {}),
        },
    )
    return Item(where, exchange)


def _more(choices: list[dict[str, Any]]) -> bool:
    """Whether the one choice says more than its text and why it ended (tool calls, a refusal, logprobs)."""
    return any(without(choice, "index", "message", "text", "finish_reason") for choice in choices) or any(
        without(mapping(choice.get("message")), "role", "content", "reasoning", "reasoning_content")
        for choice in choices
    )


def _output(items: list[dict[str, Any]]) -> tuple[str | None, str | None]:
    said, reasoning = [], []
    for item in items:
        if item.get("type") == "message":
            said += [part["text"] for part in objects(item.get("content")) if isinstance(part.get("text"), str)]
        elif item.get("type") == "reasoning":
            parts = objects(item.get("content")) + objects(item.get("summary"))
            reasoning += [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(said) or None, "\n".join(reasoning) or None


IMPORTER = Importer("openai", "OpenAI's stored completions and batch files", read)
