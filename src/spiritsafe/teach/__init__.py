"""Teachers: models that can be asked. ``open_teacher`` opens one by its spec; nothing heavy loads before that."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from spiritsafe.errors import ResourceError, UsageError
from spiritsafe.teach.types import Opener, Options, Teacher

GROUP = "spiritsafe.teachers"

# Scheme: how a spec of it is written, and its opener.
TEACHERS: dict[str, tuple[str, str]] = {
    "smollm2": ("smollm2", "spiritsafe.teach.embedded:open_embedded"),
    "hf": ("hf:FOLDER", "spiritsafe.teach.huggingface:open_folder"),
    "gguf": ("gguf:FILE", "spiritsafe.teach.gguf:open_file"),
    "openai": ("openai:URL#model", "spiritsafe.teach.openai:open_url"),
}


def open_teacher(spec: str, options: Options | None = None) -> Teacher:
    """Open the teacher that ``spec`` names: ``smollm2``, ``hf:FOLDER``, ``gguf:FILE``, ``openai:URL#model``.

    Other packages add schemes by an entry point of the group ``spiritsafe.teachers`` that names an
    ``Opener``. Raises UsageError for an unknown scheme, InputError or ResourceError when the teacher
    can't be had. Close the teacher when done.
    """
    scheme, _, rest = spec.partition(":")
    point = _points().get(scheme)
    if point is None:
        forms = [form for form, _ in TEACHERS.values()]
        others = [f"{name}:..." for name in sorted(_points().keys() - TEACHERS.keys())]
        raise UsageError(f"{spec!r} is no teacher", remedy=f"Give one of: {', '.join([*forms, *others])}.")
    try:
        opener: Opener = point.load()
    except ModuleNotFoundError as error:
        raise ResourceError(
            f"{error.name} is not installed", where=spec, remedy="Run: pip install 'spiritsafe[embedded]'"
        ) from error
    return opener(rest, options or Options())


def _points() -> dict[str, EntryPoint]:
    """Openers by scheme; ours can't be replaced from outside."""
    outside = {point.name: point for point in entry_points(group=GROUP)}
    ours = {scheme: EntryPoint(scheme, value, GROUP) for scheme, (_, value) in TEACHERS.items()}
    return outside | ours
