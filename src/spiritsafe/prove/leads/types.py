"""What leads are drawn from."""

from __future__ import annotations

import msgspec

from spiritsafe.prove.suspect import Suspect


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the teacher. ``asked`` are prompts with an answer of the teacher's each; ``names`` what it and
    its maker are called; ``teacher`` itself, where it can be asked.
    """

    asked: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()
    teacher: Suspect | None = None
    seed: int = 1
