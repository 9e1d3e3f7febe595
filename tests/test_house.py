"""The house keeps its own rules: tests mirror the source, the heavy parts stay out, every licence allows us to ship."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "spiritsafe"
TESTS = ROOT / "tests"


def sources() -> list[Path]:
    return sorted(p for p in SOURCE.rglob("*.py") if not any(part == "vendor" for part in p.parts))


def test_every_source_file_has_its_test_file() -> None:
    missing = [
        str(path.relative_to(SOURCE))
        for path in sources()
        if path.name not in ("__init__.py", "__main__.py", "types.py")
        if not (TESTS / path.relative_to(SOURCE).with_name(f"test_{path.name}")).exists()
    ]
    assert not missing, f"without a test of their own: {missing}"


def test_every_test_file_belongs_to_a_source_file() -> None:
    orphans = []
    for path in sorted(TESTS.rglob("test_*.py")):
        relative = path.relative_to(TESTS)
        mirrored = SOURCE / relative.with_name(relative.name.removeprefix("test_"))
        room = SOURCE / relative.parent / relative.stem.removeprefix("test_")
        of_the_room = relative.name in ("test_house.py", "test_conformance.py")
        if not (mirrored.exists() or room.is_dir() or of_the_room):
            orphans.append(str(relative))
    assert not orphans, f"without a source file: {orphans}"


@pytest.mark.parametrize("module", ["spiritsafe", "spiritsafe.cli", "spiritsafe.gateway.app", "spiritsafe.detect.scan"])
def test_the_light_half_never_loads_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'httpx'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What a product under Apache-2.0 can't ship with. MPL-2.0 and LGPL are weak: they bind their own files only.
FORBIDDEN = ("GNU GENERAL PUBLIC", "GNU AFFERO", "GPL-2.0", "GPL-3.0", "AGPL", "GPLV2", "GPLV3")


def requirements(extras: set[str]) -> set[str]:
    """The names of everything that an installation with ``extras`` brings along, followed to the end."""
    from packaging.requirements import Requirement

    todo, seen = [Requirement(f"spiritsafe[{','.join(extras)}]")], set()
    while todo:
        wanted = todo.pop()
        for extra in wanted.extras or {""}:
            if (wanted.name.lower(), extra) in seen:
                continue
            seen.add((wanted.name.lower(), extra))
            try:
                lines = metadata.requires(wanted.name) or []
            except metadata.PackageNotFoundError:
                continue
            for line in lines:
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                    todo.append(requirement)
    return {name for name, _ in seen}


def licence_of(name: str) -> str:
    about = metadata.metadata(name)
    classifiers = [c for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    return " | ".join(filter(None, [about.get("License-Expression"), *classifiers, (about.get("License") or "")[:200]]))


def test_every_dependency_has_a_licence_we_can_ship_with() -> None:
    bad = {}
    for name in sorted(requirements({"embedded", "postgres", "train"}) - {"spiritsafe"}):
        try:
            licence = licence_of(name)
        except metadata.PackageNotFoundError:
            continue  # not installed here: another platform's requirement
        words = licence.upper().replace("LESSER GENERAL PUBLIC", "").replace("LGPL", "")
        if not licence or any(word in words for word in FORBIDDEN):
            bad[name] = licence or "no licence stated"
    assert not bad, f"can't ship with: {bad}"
