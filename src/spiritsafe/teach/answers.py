"""From the deltas of a stream to whole answers."""

from __future__ import annotations

from spiritsafe.teach.types import Answer, Delta, Finish, Token, ToolCall


class Collector:
    """Gathers the deltas of one prompt's ``n`` choices, in whatever order they come."""

    def __init__(self, n: int) -> None:
        self._parts = [_Parts() for _ in range(n)]
        self._open = n

    def add(self, delta: Delta) -> bool:
        """Take one delta; True once every choice has finished."""
        parts = self._parts[delta.choice]
        parts.text.append(delta.text)
        parts.reasoning.append(delta.reasoning)
        parts.tokens.extend(delta.tokens)
        parts.calls.extend(delta.tool_calls)
        if delta.prompt_tokens is not None:
            parts.prompt = delta.prompt_tokens
        if delta.completion_tokens is not None:
            parts.completion = delta.completion_tokens
        if delta.finish is not None:
            parts.finish = delta.finish
            self._open -= 1
        return self._open == 0

    def answers(self) -> list[Answer]:
        """One answer a choice; a choice that never finished counts as cancelled."""
        return [
            Answer(
                choice=index,
                text="".join(parts.text),
                reasoning="".join(parts.reasoning) or None,
                tokens=tuple(parts.tokens),
                tool_calls=tuple(parts.calls),
                finish=parts.finish,
                prompt_tokens=parts.prompt,
                completion_tokens=parts.completion,
            )
            for index, parts in enumerate(self._parts)
        ]


class _Parts:
    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.tokens: list[Token] = []
        self.calls: list[ToolCall] = []
        self.finish: Finish = "cancelled"
        self.prompt: int | None = None
        self.completion: int | None = None
