"""What is asked and how it is written down: a prompt's sample as a request, and its answer as an exchange."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import msgspec

from spiritsafe.distill.api_logprobs import pieces_of
from spiritsafe.distill.recipe import Collect
from spiritsafe.distill.rows import Prompt
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.teach.types import Answer, Chat, Sampling

THINK = ("<think>", "</think>")


class Requests:
    """The requests of one run to one model."""

    def __init__(self, model: str, section: Collect) -> None:
        self._model = model
        self._section = section

    def chat(self, prompt: Prompt) -> Chat:
        """What the teacher is asked."""
        system = [{"role": "system", "content": self._section.system}] if self._section.system else []
        return Chat((*system, {"role": "user", "content": prompt.text}))

    def sampling(self, sample: int) -> Sampling:
        """How its answer number ``sample`` is drawn: each has its own seed."""
        wanted = self._section.sampling
        return Sampling(
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            max_tokens=wanted.max_tokens,
            stop=wanted.stop,
            seed=wanted.seed + sample,
            logprobs=wanted.top_logprobs or None,
        )

    def open(self, prompt: Prompt, sample: int) -> Exchange:
        """The exchange as far as it is known before it is asked; ``answers.request_digest`` takes it."""
        wanted = self._section.sampling
        params = {
            "temperature": wanted.temperature,
            "top_p": wanted.top_p,
            "max_tokens": wanted.max_tokens,
            "seed": wanted.seed + sample,
            "stop": list(wanted.stop),
            "top_logprobs": wanted.top_logprobs,
        }
        return Exchange(
            exchange_id=uuid.uuid4().hex,
            time=datetime.now(UTC),
            account_id="distill",
            model=self._model,
            endpoint="distill",
            system=self._section.system,
            messages=(Message("user", prompt.text),),
            params=params,
        )

    def answered(
        self, prompt: Prompt, sample: int, answer: Answer, started: datetime, seconds: float | None
    ) -> Exchange:
        """The whole exchange. ``extra`` keeps the prompt's id, the sample, how the answer ended, the tokens' ids
        where the teacher tells them and, if logprobs were asked for, ``pieces`` and ``top`` (``api_logprobs``).
        """
        thought, text = split_reasoning(answer.text)
        extra: dict[str, object] = {"prompt_id": prompt.prompt_id, "sample": sample, "finish": answer.finish}
        if answer.tokens and answer.tokens[0].id is not None:
            extra["tokens"] = [t.id for t in answer.tokens]
        if self._section.sampling.top_logprobs:
            extra |= pieces_of(answer.tokens)
        return msgspec.structs.replace(
            self.open(prompt, sample),
            time=started,
            completion=text,
            reasoning=answer.reasoning or thought,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            latency_ms=None if seconds is None else 1000.0 * seconds,
            status=200,
            extra=extra,
        )


def split_reasoning(text: str) -> tuple[str | None, str]:
    """Take a leading ``<think>...</think>`` apart from the answer: (reasoning or None, answer)."""
    begin, end = THINK
    if text.lstrip().startswith(begin) and end in text:
        reasoning, _, answer = text.lstrip()[len(begin) :].partition(end)
        return reasoning.strip(), answer.lstrip()
    return None, text
