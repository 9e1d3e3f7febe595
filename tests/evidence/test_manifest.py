from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError, ResourceError
from spiritsafe.evidence.manifest import Manifest, compare, manifest_of, read_folder, root_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"one")
    (tmp_path / "a.b").write_bytes(b"two")
    return tmp_path


def test_every_file_is_listed_by_the_parts_of_its_path(folder: Path) -> None:
    found = read_folder(folder)
    one, two = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
    assert list(found.files.items()) == [("a/b", one), ("a.b", two)]
    assert found.root == hashlib.sha256(bytes.fromhex(one) + bytes.fromhex(two)).hexdigest()


def test_only_names_at_the_top_are_ignored(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("x")
    (folder / "a" / ".gitignore").write_text("x")
    assert list(read_folder(folder).files) == ["a/.gitignore", "a/b", "a.b"]
    assert ".git/config" in read_folder(folder, ignore=()).files


def test_what_is_no_file_is_refused(folder: Path) -> None:
    (folder / "a" / "link").symlink_to(folder / "a.b")
    with pytest.raises(InputError, match=r"a/link: it is a symbolic link"):
        read_folder(folder)
    (folder / "a" / "link").unlink()
    (folder / "link").symlink_to(folder / "a", target_is_directory=True)
    with pytest.raises(InputError, match="symbolic link"):
        read_folder(folder)
    (folder / "link").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(InputError, match="no plain file"):
        read_folder(folder)


def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "new\nline").write_bytes(b"")
    with pytest.raises(InputError, match=r"new\\nline: a file's name is no plain text"):
        read_folder(folder)


def test_what_is_not_there_says_so(folder: Path) -> None:
    with pytest.raises(ResourceError, match="none: can't be read"):
        read_folder(folder / "none")


DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NAMES = st.lists(st.text("ab!", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)
MANIFESTS = st.dictionaries(NAMES, DIGESTS, max_size=6).map(manifest_of)


@given(MANIFESTS, MANIFESTS)
def test_a_difference_says_exactly_what_turns_one_into_the_other(wanted: Manifest, found: Manifest) -> None:
    difference = compare(wanted, found)
    assert set(difference.extra) == found.files.keys() - wanted.files.keys()
    assert set(difference.missing) == wanted.files.keys() - found.files.keys()
    changed = {n for n in wanted.files.keys() & found.files.keys() if wanted.files[n] != found.files[n]}
    assert set(difference.different) == changed
    assert bool(difference) == (wanted != found)


@given(MANIFESTS)
def test_the_order_in_which_files_are_found_says_nothing(some: Manifest) -> None:
    backwards = dict(reversed(list(some.files.items())))
    assert manifest_of(backwards) == some
    assert list(manifest_of(backwards).files) == list(some.files)
    assert root_of(some.files.values()) == some.root


def test_large_files_are_read_in_pieces_and_told(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    (tmp_path / "none").write_bytes(b"")
    told: list[tuple[int, int]] = []
    found = read_folder(tmp_path, progress=lambda done, of: told.append((done, of)))
    assert found.files == {"large": hashlib.sha256(data).hexdigest(), "none": hashlib.sha256(b"").hexdigest()}
    assert told == [(1 << 20, len(data)), (2 << 20, len(data)), (len(data), len(data))]
