"""The forms of the terms registry and of an answer from it."""

from __future__ import annotations

from datetime import date
from typing import Literal, get_args

import msgspec

Verdict = Literal["allowed", "conditional", "forbidden", "unknown"]
STRICTNESS: tuple[Verdict, ...] = ("allowed", "conditional", "unknown", "forbidden")

Purpose = Literal["student", "narrow", "research", "inside"]
PURPOSES: dict[Purpose, str] = {
    "student": "a general language model that is passed on, sold or served to others",
    "narrow": "a model that only classifies, ranks or embeds, and is not passed on",
    "research": "non-commercial research",
    "inside": "a model used inside one company and never passed on",
}

Basis = Literal["read", "quoted", "recollection, unverified"]
Kind = Literal[
    "free",
    "attribution",
    "naming",
    "acceptable-use",
    "competing",
    "distillation",
    "non-commercial",
    "size",
    "territory",
    "other",
]

NO_ADVICE = "This is a reading of public terms, not legal advice; terms change, and the source alone counts."


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a statement comes from. ``read``: the text itself was read, on the day ``read``, at ``copy``. ``quoted``:
    another document's words on it were read there. ``recollection, unverified``: nobody looked it up. ``dated`` is
    the version or day of effect of the document itself.
    """

    document: str
    basis: Basis
    url: str | None = None
    dated: date | None = None
    read: date | None = None
    copy: str | None = None

    def __post_init__(self) -> None:
        looked_up = self.basis != "recollection, unverified"
        if looked_up and (self.read is None or not self.copy):
            raise ValueError(f"{self.document}: a basis of {self.basis!r} takes 'read' (the day) and 'copy' (where)")
        if not looked_up and (self.read is not None or self.copy is not None):
            raise ValueError(f"{self.document}: from recollection, so it has neither 'read' nor 'copy'")


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule, in our words. ``condition`` is what must be kept, ``forbids`` what is not open at all and
    ``exception`` what is open all the same.
    """

    what: str
    kind: Kind
    condition: str | None = None
    forbids: str | None = None
    exception: str | None = None
    section: str | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A licence of weights or the terms of a hosted service. ``verdict`` answers for the purpose ``student``;
    ``purposes`` answers for others where they differ.
    """

    id: str
    name: str
    publisher: str
    reach: Literal["weights", "api"]
    verdict: Verdict
    source: Source
    clauses: list[Clause]
    purposes: dict[str, Verdict] = {}
    note: str | None = None

    def __post_init__(self) -> None:
        strange = sorted(set(self.purposes) - set(get_args(Purpose)))
        if strange:
            raise ValueError(f"{self.id}: no purpose is called {strange[0]!r}; valid: {', '.join(get_args(Purpose))}")
        if not self.clauses:
            raise ValueError(f"{self.id}: terms without a clause say nothing")

    def verdict_for(self, purpose: Purpose) -> Verdict:
        """The answer for one purpose."""
        return self.purposes.get(purpose, self.verdict)


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A family of models and the terms it is under. ``names`` are how it is written (case and punctuation aside);
    ``any_version`` says that versions not listed are under the same terms. ``basis`` is how it is known that the
    family is under these terms.
    """

    name: str
    publisher: str
    terms: str
    names: list[str]
    basis: Basis
    any_version: bool = False
    note: str | None = None


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One YAML file of the registry."""

    terms: list[Terms] = []
    models: list[Model] = []


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One set of terms that holds for the model that was asked about, and why."""

    terms: str
    name: str
    because: str
    verdict: Verdict
    source: Source
    section: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one may distil from ``name``. ``verified`` is False where anything rests on recollection. ``as_of`` is
    the oldest day on which one of the sources was read.
    """

    name: str
    purpose: Purpose
    verdict: Verdict
    reasons: tuple[str, ...]
    conditions: tuple[str, ...]
    applied: tuple[Applied, ...]
    verified: bool
    as_of: date | None
    suggestions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    grant: str | None = None
    advice: str = NO_ADVICE
