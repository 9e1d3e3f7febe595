"""The rules of a policy, as data: which evidence leads to which step of the ladder."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from spiritsafe import settings
from spiritsafe.errors import ConfigError, InputError, Problem
from spiritsafe.store.models import Action, strictness

Family = Literal["asked", "phrased", "when", "drawn", "together"]

_DURATION = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DEFAULT = "default.yaml"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"duration": "for"}):
    """One rule. It fits a subject of its kind whose evidence from at least ``families`` families is at least
    ``log10_e``, and which is among the discoveries of e-BH over all subjects at the policy's rate (``certain: fdr``).

    Where both are given, e-BH goes by the mean over all families, and so bounds the share of subjects about which
    nothing at all is wrong; where ``certain`` stands alone, by the evidence from ``families`` families itself.

    ``and_any_of``: one of these families must itself reach ``and_log10_e``. ``action`` is the step taken; with
    ``needs_person`` it waits for a person, and ``meanwhile``, if given, holds until then. A decision lapses after
    ``duration``.
    """

    name: str
    action: Action
    subject: Literal["account", "ring", "any"] = "any"
    families: int = 1
    certain: Literal["fdr"] | None = None
    log10_e: float | None = None
    and_any_of: tuple[Family, ...] = ()
    and_log10_e: float = 0.0
    needs_person: bool = False
    meanwhile: Action | None = None
    duration: str = "14d"

    def lasts(self) -> timedelta:
        """How long its decisions hold."""
        return _duration(self.duration) or timedelta()


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy. ``accuses_from`` is the first step of the ladder that accuses: a scan calls it a flag.

    ``purposes`` are the purposes of a grant that permit harvesting. ``appeal`` tells the accused how to object.
    """

    version: int
    fdr: float
    accuses_from: Action
    appeal: str
    rules: tuple[Rule, ...]
    purposes: tuple[str, ...] = ("distil",)

    def digest(self) -> str:
        """Names these very rules."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=8).hexdigest()


def default() -> Rules:
    """The policy that ships with the package."""
    return _read(files(__package__).joinpath(_DEFAULT).read_text(encoding="utf-8"), _DEFAULT)


def load(path: Path | None) -> Rules:
    """Read a policy file, or the default for None. Raises ConfigError with every problem and its line."""
    if path is None:
        return default()
    rules = settings.load(path, Rules)
    return _checked(rules, path.read_text(encoding="utf-8"), str(path))


def _read(text: str, where: str) -> Rules:
    return _checked(settings.load_text(text, Rules, where=where), text, where)


def _checked(rules: Rules, text: str, where: str) -> Rules:
    """What types can't say: names, rates, thresholds that contradict one another."""
    if rules.version > 1:
        raise InputError(
            f"the policy has version {rules.version}, this program knows 1",
            remedy="Use a newer spiritsafe.",
            where=where,
        )
    lines = _lines(text)
    problems = []
    if not 0.0 < rules.fdr < 1.0:
        problems.append(Problem(f"{where}:{lines['fdr']}", f"fdr is {rules.fdr}", "Give a share between 0 and 1."))
    seen: set[str] = set()
    for place, rule in enumerate(rules.rules):
        at = f"{where}:{lines[place]}"
        if rule.name in seen:
            problems.append(Problem(at, f"two rules are called {rule.name!r}", "Give each its own name."))
        seen.add(rule.name)
        problems += [Problem(at, f"rule {rule.name!r}: {what}", remedy) for what, remedy in _wrong(rule)]
    if problems:
        raise ConfigError(problems)
    return rules


def _wrong(rule: Rule) -> list[tuple[str, str]]:
    found = []
    if rule.certain is None and rule.log10_e is None:
        found.append(("it needs certain or log10_e", "Write 'certain: fdr', 'log10_e: NUMBER', or both."))
    if not 1 <= rule.families <= 5:
        found.append((f"families is {rule.families}", "There are five families: give 1 to 5."))
    if _duration(rule.duration) is None:
        found.append((f"for is {rule.duration!r}", "Write a number and s, m, h, d or w, such as 14d."))
    if rule.families < 2 and strictness(rule.action) >= strictness("throttle"):
        found.append((f"one family alone can't lead to {rule.action}", "Ask for 'families: 2', or take a milder step."))
    if rule.meanwhile is not None and not rule.needs_person:
        found.append(("meanwhile without needs_person", "Add 'needs_person: true', or take meanwhile out."))
    if rule.meanwhile is not None and strictness(rule.meanwhile) >= strictness(rule.action):
        found.append((f"meanwhile {rule.meanwhile} is no milder than {rule.action}", "Take a milder step meanwhile."))
    return found


def _duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def _lines(text: str) -> dict[str | int, int]:
    """The line of each top-level key and, by number, of each rule."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    lines: dict[str | int, int] = {}
    for key, value in root.value:
        lines[str(key.value)] = key.start_mark.line + 1
        if key.value == "rules":
            lines.update((place, node.start_mark.line + 1) for place, node in enumerate(value.value))
    return lines
