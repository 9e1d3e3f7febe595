"""Tracing as a protocol runs it: radioactivity of all tenants' marks says whether, each tenant's code word says who."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from spiritsafe.errors import InputError
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.prove.instruments.radioactivity import Questions, Radioactivity, opened
from spiritsafe.prove.instruments.types import Options, Outcome
from spiritsafe.prove.tracing import trace


class TracedQuestions(Questions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, and ``tenants``: all whose answers had the mark, not only those one would like to test."""

    tenants: tuple[str, ...]


class Tracing(Radioactivity):
    """See ``Instrument``. The parts are by tenant, one for each that had the mark."""

    def __init__(self, questions: TracedQuestions, options: Options, mark: Traced) -> None:
        super().__init__(questions, options)
        self._tenants = questions.tenants
        self._traced = mark

    def judge(self, measured: Any, secret: bytes, subject: str) -> Outcome:
        """See ``Instrument.judge``."""
        found = super().judge(measured, secret, subject)
        if found.main is None:
            return found
        key = key_of(secret, self._options.mark, self._epoch)
        traces = trace(self._traced, key, measured, self._tenants, subject=subject, decoys=0)
        parts = tuple(
            msgspec.structs.replace(result, subject=f"{subject} from {tenant}")
            for tenant, result in zip(self._tenants, traces.results, strict=True)
        )
        return msgspec.structs.replace(found, parts=parts)


def open_tracing(path: Path, options: Options) -> Tracing:
    """Questions and tenants from a JSON file. Raises ``InputError`` for one that is none, ``UsageError`` for a mark
    that is unknown.
    """
    questions, mark = opened(path, options, TracedQuestions)
    if not isinstance(mark, Traced) or len(set(questions.tenants)) < len(questions.tenants) or not questions.tenants:
        raise InputError(
            f"{mark.name} traces nobody, or its tenants are not named once each",
            where=str(path),
            remedy="Use a mark called traced-..., and name every tenant that had it once.",
        )
    return Tracing(questions, options, mark)
