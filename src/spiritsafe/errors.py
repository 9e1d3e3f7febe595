"""The root error and its few kinds. Each says what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import ClassVar, NamedTuple


class SpiritsafeError(Exception):
    """Root of every error this package raises on purpose.

    ``code`` is a stable machine-readable reason, ``where`` the place (a file:line, a column, a
    segment, an address), ``remedy`` what the reader can do. ``exit_code`` is what the command line
    ends with: 1 for something that failed, 2 for wrong usage.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, remedy: str, where: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}. {self.remedy}"


class UsageError(SpiritsafeError):
    """The command was called wrongly: an unknown name, a missing argument, two that exclude each other."""

    code = "usage"
    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong in a file that a person wrote: ``where`` is ``file:line``."""

    where: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}. {self.remedy}"


class ConfigError(SpiritsafeError):
    """A configuration, policy or recipe file is wrong; ``problems`` lists everything at once."""

    code = "config"
    exit_code = 2

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        first = problems[0]
        count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
        super().__init__(f"{count} in the configuration", remedy=first.remedy, where=first.where)

    def __str__(self) -> str:
        return "\n".join(str(p) for p in self.problems)


class InputError(SpiritsafeError):
    """Data handed to us can't be used: a log from a newer version, missing columns, a changed wheel."""

    code = "input"
    exit_code = 2


class ResourceError(SpiritsafeError):
    """Something outside is not there or not well: a port, a disk, a database, an upstream."""

    code = "resource"


class BrokenRecord(SpiritsafeError):
    """A check of a record, a bundle or a lineage failed; ``where`` names the first wrong place."""

    code = "broken"


class Refused(SpiritsafeError):
    """A decision, a limit or missing terms forbid what was asked; says by which rule and how to appeal."""

    code = "refused"
