"""Reading the registry: YAML files, validated together, every problem with its file and line."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

from spiritsafe.distill.terms.match import words
from spiritsafe.distill.terms.types import File, Model, Terms
from spiritsafe.errors import ConfigError, InputError, Problem
from spiritsafe.settings import load


class Registry(NamedTuple):
    """``terms`` by id, and every model. Made by ``read_registry``."""

    terms: dict[str, Terms]
    models: tuple[Model, ...]


@cache
def own_registry() -> Registry:
    """The registry that ships with the package."""
    with as_file(files("spiritsafe.distill.terms") / "data") as folder:
        return read_registry(folder)


def read_registry(*folders: Path) -> Registry:
    """All ``*.yaml`` files of ``folders`` as one registry.

    Raises ``InputError`` for a folder without any and ``ConfigError`` with every problem of every file at once:
    a wrong form, an id or a name that stands twice, a model under terms that nobody wrote down.
    """
    read: list[tuple[Path, File]] = []
    problems: list[Problem] = []
    for folder in folders:
        paths = sorted(folder.glob("*.yaml"))
        if not paths:
            raise InputError("no terms in it", remedy="Give a folder with .yaml files.", where=str(folder))
        for path in paths:
            try:
                read.append((path, load(path, File)))
            except ConfigError as error:
                problems += error.problems
    if not problems:
        problems = _together(read)
    if problems:
        raise ConfigError(problems)
    terms = {t.id: t for _, file in read for t in file.terms}
    return Registry(terms, tuple(m for _, file in read for m in file.models))


def _together(read: list[tuple[Path, File]]) -> list[Problem]:
    """What is wrong between files that are each right by themselves."""
    problems: list[Problem] = []
    ids: dict[str, str] = {}
    names: dict[tuple[str, ...], str] = {}
    for path, file in read:
        for terms in file.terms:
            where = f"{path}:{_line(path, f'id: {terms.id}')}"
            if terms.id in ids:
                problems.append(Problem(where, f"terms {terms.id!r} stand at {ids[terms.id]} too", "Rename one."))
            ids.setdefault(terms.id, where)
    for path, file in read:
        for model in file.models:
            where = f"{path}:{_line(path, model.name)}"
            if model.terms not in ids:
                problems.append(
                    Problem(where, f"no terms are called {model.terms!r}", f"Known ids: {', '.join(sorted(ids))}.")
                )
            for name in model.names:
                key = words(name)
                if key in names or not key:
                    other = f"stands at {names[key]} too" if key else "has no letter or digit"
                    problems.append(Problem(where, f"the name {name!r} {other}", "Keep each name once."))
                names[key] = where
    return problems


def _line(path: Path, text: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((i for i, line in enumerate(lines, 1) if text in line), 1)
