"""A suspect whose weights are here: ``hf:FOLDER``, ``gguf:FILE`` or the embedded model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import InputError
from spiritsafe.evidence.manifest import read_folder
from spiritsafe.prove.replies import opened, reply_of, spelled
from spiritsafe.prove.suspect import Identity, Reply, Scored
from spiritsafe.teach import open_teacher
from spiritsafe.teach.types import Access, Chat, Json, Options, Prompt, Raw, Sampling, Teacher, Tokenizer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def open_weights(spec: str, options: Options | None = None) -> WeightsSuspect:
    """Open a model by its teacher's spec. Raises as ``teach.open_teacher`` does."""
    return WeightsSuspect(open_teacher(spec, options), _digest(spec))


class WeightsSuspect:
    """Asks a local model. A prompt goes through the model's own chat template; where it has none, as plain text with
    a line's end after it.
    """

    access: Access = "weights"
    chunk = 32
    at_once = 1

    def __init__(self, teacher: Teacher, digest: str | None = None) -> None:
        if teacher.tokenizer is None:
            raise InputError(f"{teacher.name} has no tokenizer", remedy="Give hf:FOLDER or gguf:FILE.")
        self._teacher = teacher
        self.identity = Identity(name=teacher.name, kind="weights", digest=digest)
        self.tokenizer: Tokenizer | None = teacher.tokenizer
        self._tokenizer = teacher.tokenizer

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling | Sequence[Sampling]) -> list[list[Reply]]:
        """See ``Suspect.generate``."""
        samplings = [sampling] * len(prompts) if isinstance(sampling, Sampling) else list(sampling)
        taken = [self._plain(prompt) for prompt in prompts]
        try:
            answers = self._teacher.generate(taken, samplings)
        except InputError:
            # One prompt too many for the context must not cost the others theirs.
            return [self._one(prompt, one) for prompt, one in zip(taken, samplings, strict=True)]
        return [[reply_of(answer) for answer in choices] for choices in answers]

    def score(self, pairs: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """See ``Suspect.score``."""
        return [self._scored(prompt, text) for prompt, text in pairs]

    def likeliest(self, ids: Sequence[int]) -> list[int]:
        """See ``Suspect.likeliest``."""
        return [int(token) for token in self._teacher.logits(ids).argmax(-1).tolist()]

    def distributions(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """See ``Suspect.distributions``."""
        found: npt.NDArray[np.float32] = self._teacher.logits(ids).log_softmax(-1).numpy()
        return found

    def close(self) -> None:
        """See ``Suspect.close``."""
        self._teacher.close()

    def _one(self, prompt: Prompt, sampling: Sampling) -> list[Reply]:
        try:
            return [reply_of(answer) for answer in self._teacher.generate([prompt], sampling)[0]]
        except InputError as error:
            return [Reply(text="", ending="refused", trouble=error.message)]

    def _scored(self, prompt: Prompt, text: str) -> Scored:
        before = self._rendered(prompt)
        after = self._tokenizer.encode(text, add_special_tokens=False)
        room = self._teacher.context_length
        if not before or not after or (room is not None and len(before) + len(after) > room):
            return Scored(())
        logits = self._teacher.logits([*before, *after])[len(before) - 1 : -1]
        chosen = logits.log_softmax(-1).gather(-1, logits.new_tensor(after).long()[:, None])[:, 0]
        return Scored(tuple(round(value, 6) for value in chosen.tolist()))

    def _rendered(self, prompt: Prompt) -> list[int]:
        taken = self._plain(prompt)
        if isinstance(taken, Raw):
            return self._tokenizer.encode(taken.text)
        turns = [{"role": "user", "content": taken}] if isinstance(taken, str) else list(taken.messages)
        return self._tokenizer.encode(self._templated(turns), add_special_tokens=False)

    def _templated(self, turns: list[Json]) -> str:
        tokenizer: Any = self._tokenizer
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return text

    def _plain(self, prompt: Prompt) -> Prompt:
        """What the teacher is asked: an answer that was begun goes after the template as it stands."""
        if isinstance(prompt, Raw):
            return prompt
        if not getattr(self._tokenizer, "chat_template", None):
            return Raw(spelled(prompt))
        if isinstance(prompt, Chat):
            before, beginning = opened(prompt)
            return Raw(self._templated(list(before)) + beginning) if beginning else prompt
        return prompt


def _digest(spec: str) -> str | None:
    scheme, _, rest = spec.partition(":")
    path = Path(rest).expanduser()
    if scheme == "hf" and path.is_dir():
        return read_folder(path).root
    if scheme == "gguf" and path.is_file():
        import hashlib  # noqa: PLC0415 - for a single file alone

        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return None
