"""The APIs spoken, one file each. ``DIALECTS`` is all of them by path."""

from __future__ import annotations

from collections.abc import Callable

from spiritsafe.gateway.wire.chat import Chat
from spiritsafe.gateway.wire.completions import Completions
from spiritsafe.gateway.wire.embeddings import Embeddings
from spiritsafe.gateway.wire.messages import Messages
from spiritsafe.gateway.wire.messages_as_chat import MessagesAsChat
from spiritsafe.gateway.wire.responses import Responses
from spiritsafe.gateway.wire.responses_as_chat import ResponsesAsChat
from spiritsafe.gateway.wire.types import Dialect, Payload, Translation

CHAT = Chat()
DIALECTS: dict[str, Dialect] = {d.path: d for d in (CHAT, Completions(), Responses(), Messages(), Embeddings())}
TRANSLATIONS: dict[str, Callable[[Payload, str], Translation]] = {
    "messages": MessagesAsChat,
    "responses": ResponsesAsChat,
}
"""By dialect: how its requests are put to an upstream that speaks chat completions alone."""
