"""The release policy at work: a request looked at before it goes upstream, an answer edited before it leaves."""

from __future__ import annotations

from typing import Any

from spiritsafe.errors import Refused
from spiritsafe.gateway.call import Call
from spiritsafe.gateway.faults import Fault
from spiritsafe.gateway.wire import CHAT, read
from spiritsafe.gateway.wire.types import Payload
from spiritsafe.protect.release import Release, Releases, objection, released_logprobs, summary
from spiritsafe.protect.sealed_reasoning import Binding, seal, unseal

SEALED = "reasoning_sealed"
_NAMES = ("reasoning_content", "reasoning")
_OPEN = Release(logit_bias_with_logprobs=True)


class Releaser:
    """Applies ``Releases``. ``root`` seals reasoning; in ``session_header`` a client names its session."""

    def __init__(self, releases: Releases, root: bytes, session_header: str) -> None:
        self._releases = releases
        self._root = root
        self._session = session_header.lower().encode()

    def edit(self, call: Call) -> Edit | None:
        """What is done to the call's answer, ``None`` for nothing. Raises ``Fault`` for a request that can't be
        served like this.
        """
        permit, ask = call.permit, call.ask
        assert permit is not None
        assert ask is not None
        release = self._releases.of(permit.seat.tenant.account.account_id, watched=permit.decision is not None)
        if release == _OPEN:
            return None
        wrong = objection(release, {**ask.params, "n": ask.choices})
        if wrong is not None:
            raise Fault("not_released", wrong, remedy="Ask for less; whoever runs this gateway can allow more.")
        return Edit(release, call, self._root, self._binding(call, _turns(ask.messages)))

    def opened(self, call: Call, payload: Payload) -> bool:
        """Open the sealed reasoning in a chat request's turns, in place; whether there was any. Raises ``Fault`` for
        what was not given to this account, in this session, by this model, at this turn.
        """
        found, turn = False, 0
        if call.dialect is not CHAT:
            return False
        for message in read.objects(payload.get("messages")):
            if message.get("role") != "assistant":
                continue
            blob = message.pop(SEALED, None)
            if isinstance(blob, str):
                try:
                    message[_NAMES[0]] = unseal(blob, self._root, self._binding(call, turn))
                except Refused as error:
                    raise Fault("sealed_elsewhere", error.message, remedy=error.remedy) from error
                found = True
            turn += 1
        return found

    def _binding(self, call: Call, turn: int) -> Binding:
        assert call.permit is not None
        assert call.ask is not None
        session = call.headers.get(self._session, b"").decode("latin-1")
        return Binding(call.permit.seat.tenant.account.account_id, session, call.ask.model or "", turn)


class Edit:
    """Edits one answer, whole or event by event. Sealed and summarised reasoning of a stream leaves with its choice's
    end. An API that is not chat completions gets less rather than more: where anything is held back, its reasoning and
    log-probabilities are withheld altogether.
    """

    def __init__(self, release: Release, call: Call, root: bytes, binding: Binding) -> None:
        self._release = release
        self._call = call  # in which API the upstream answers is settled only later
        self._fine = call.dialect is CHAT
        self._root = root
        self._binding = binding
        self._held: dict[int, list[str]] = {}

    def __call__(self, payload: Payload) -> bool:
        """Edit in place; false if nothing is left that is worth sending."""
        release = self._release
        if not self._fine:
            hides = release.reasoning != "shown" or release.logprobs != "shown"
            return self._call.hearing.withhold(payload) if hides else True
        for position, choice in enumerate(read.objects(payload.get("choices"))):
            if "logprobs" in choice:
                choice["logprobs"] = released_logprobs(choice["logprobs"], release)
            index = choice.get("index")
            self._reasoning(choice, index if isinstance(index, int) else position)
        return True

    def _reasoning(self, choice: Payload, index: int) -> None:
        release = self._release
        if release.reasoning == "shown":
            return
        held = self._held.setdefault(index, [])
        for part in ("message", "delta"):
            said = choice.get(part)
            if not isinstance(said, dict):
                continue
            texts = [said.pop(name, None) for name in _NAMES]
            said.pop("reasoning_details", None)
            held += [text for text in texts if isinstance(text, str)][:1]
            if choice.get("finish_reason") and held and release.reasoning != "withheld":
                self._leave(said, "".join(held))
                held.clear()

    def _leave(self, said: dict[str, Any], reasoning: str) -> None:
        if self._release.reasoning == "summarised":
            said[_NAMES[0]] = summary(reasoning)
        else:
            said[SEALED] = seal(reasoning, self._root, self._binding)


def _turns(messages: tuple[Any, ...]) -> int:
    return sum(message.role == "assistant" for message in messages)
