"""What a folder holds: the SHA-256 of every file, and what is extra, missing or different against another such list."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from spiritsafe.errors import InputError, ResourceError

CHUNK = 1 << 20
# Where a folder is kept under git these change under its owner's hands; the OpenSSF layout leaves them out as well.
GIT = (".git", ".gitattributes", ".github", ".gitignore")


class Manifest(msgspec.Struct, frozen=True):
    """SHA-256 in hex by POSIX path, in the order of the paths' parts."""

    files: dict[str, str]

    @property
    def root(self) -> str:
        """SHA-256 over all files' digests (not their names), the OpenSSF layout's name for the whole."""
        return root_of(self.files.values())


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How a folder differs from what it should be, by path."""

    extra: tuple[str, ...]
    missing: tuple[str, ...]
    different: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.extra or self.missing or self.different)


def manifest_of(files: Mapping[str, str]) -> Manifest:
    """A manifest of these digests, brought into order."""
    return Manifest({name: files[name] for name in sorted(files, key=lambda n: PurePosixPath(n).parts)})


def read_folder(
    folder: Path, ignore: Iterable[str] = GIT, progress: Callable[[int, int], object] = lambda done, of: None
) -> Manifest:
    """Digest every file below ``folder``. ``ignore`` are names directly in it that are left out, whatever they are.
    ``progress`` is called with the bytes read and the bytes there are.

    Raises ``InputError`` for a symbolic link, a device, or a name that is no text: a digest of where they lead says
    nothing about what somebody else's copy holds. Raises ``ResourceError`` for what can't be read.
    """
    try:
        paths = {_name(path, folder): path for path in _files(folder, frozenset(ignore))}
        total, done, found = sum(path.stat().st_size for path in paths.values()), 0, {}
        for name, path in paths.items():
            digest = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    done += len(chunk)
                    progress(done, total)
            found[name] = digest.hexdigest()
        return manifest_of(found)
    except OSError as error:
        raise ResourceError(
            f"can't be read: {error.strerror}",
            remedy="Check the path and the right to read it.",
            where=str(error.filename or folder),
        ) from error


def root_of(digests: Iterable[str]) -> str:
    """SHA-256 over digests given in hex, in the order given."""
    total = hashlib.sha256()
    for digest in digests:
        total.update(bytes.fromhex(digest))
    return total.hexdigest()


def compare(wanted: Manifest, found: Manifest) -> Difference:
    """What of ``found`` is not as ``wanted`` says."""
    return Difference(
        extra=tuple(name for name in found.files if name not in wanted.files),
        missing=tuple(name for name in wanted.files if name not in found.files),
        different=tuple(n for n, digest in wanted.files.items() if found.files.get(n, digest) != digest),
    )


def _files(folder: Path, ignore: frozenset[str]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name in ignore:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), frozenset())
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                what = "a symbolic link" if entry.is_symlink() else "no plain file"
                raise InputError(f"it is {what}", remedy="Put the file itself there, or remove it.", where=entry.path)


def _name(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix()
    if not name.isprintable():
        raise InputError("a file's name is no plain text", remedy="Rename or remove it.", where=ascii(name).strip("'"))
    return name
