from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.reference import VERSION, Calibration, Reference, load
from spiritsafe.errors import InputError, ResourceError


@pytest.fixture
def reference() -> Reference:
    rows = np.arange(6, dtype="<f4").reshape(2, 3)
    return Reference(
        made=datetime(2026, 3, 1, tzinfo=UTC),
        source="honest.parquet",
        accounts=6,
        horizon=86_400.0,
        honest_group=9,
        peers=[11, 12],
        shared=[[(0, 7)], [(0, 2**64 - 1)]],
        detectors={
            "population": Calibration(
                version=1, scores=np.array([0.1, 0.2, 0.3, 0.4]).tobytes(), width=3, peers=rows.tobytes()
            ),
            "elicitation": Calibration(version=1, scores=np.array([0.0, 0.5, 0.9, 1.0]).tobytes()),
        },
    )


def test_it_comes_back_from_its_file(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "reference"
    reference.save(path)
    again = load(path)
    assert again == reference
    assert again.digest() == reference.digest()
    assert again.windows("population").rows.shape == (2, 3)
    assert again.windows("elicitation").rows.shape[0] == 0
    assert again.scores("elicitation").scores.tolist() == [0.0, 0.5, 0.9, 1.0]
    assert again.kin().of(0, [(0, 2**64 - 1)]).tolist() == [1]


def test_any_change_changes_its_digest(reference: Reference) -> None:
    assert msgspec.structs.replace(reference, honest_group=8).digest() != reference.digest()


def test_it_says_what_bounds_its_evidence(reference: Reference) -> None:
    assert "one in 5 at most" in reference.because()
    assert "9 accounts at most" in reference.because()


def test_what_is_no_reference_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"PAR1 something else")
    with pytest.raises(InputError, match="not a reference"):
        load(path)
    with pytest.raises(InputError, match="can't be read"):
        load(tmp_path / "missing")


def test_a_damaged_one_is_refused(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "x"
    reference.save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    ("change", "words"), [({"version": VERSION + 1}, "version 2"), ({"sketch": "text-9"}, "text-9")]
)
def test_a_newer_one_or_one_of_other_sketches_is_refused(
    reference: Reference, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "x"
    msgspec.structs.replace(reference, **change).save(path)
    with pytest.raises(InputError, match=words):
        load(path)


def test_a_disk_that_refuses_is_named(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="can't be written"):
        reference.save(tmp_path / "missing" / "x")
