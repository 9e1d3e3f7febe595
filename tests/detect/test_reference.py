from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.account import ACCOUNT_DETECTORS
from spiritsafe.detect.reference import VERSION, Alarm, Calibration, Reference, load
from spiritsafe.detect.tenant import Tenant
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
    tenant = Tenant("nobody", ())
    tenant.share(0, 2**64 - 1)
    assert again.kin().of(tenant).tolist() == [1]


def test_any_change_changes_its_digest(reference: Reference) -> None:
    assert msgspec.structs.replace(reference, honest_group=8).digest() != reference.digest()


def test_it_says_what_bounds_its_evidence(reference: Reference) -> None:
    assert "one in 5 at most" in reference.because()
    assert "9 accounts at most" in reference.because()


def test_an_expired_one_and_the_starter_say_so(reference: Reference) -> None:
    ends = datetime(2026, 6, 1, tzinfo=UTC)
    dated = msgspec.structs.replace(reference, expires=ends)
    assert "expired" not in dated.because(ends - timedelta(seconds=1))
    assert "expired on 2026-06-01: calibrate again" in dated.because(ends)
    assert "starter" not in dated.because(ends)
    assert "generated traffic: calibrate with your own" in msgspec.structs.replace(reference, starter=True).because()


def test_the_starter_ships_and_fits_the_detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a detector or the sketch has changed: run scripts/starter_reference.py."""
    monkeypatch.chdir(tmp_path)
    starter = load(Path("starter"))
    assert starter.starter
    assert starter.expires is not None
    assert starter.accounts > 1000
    wanted = {detector.name: detector.version for detector in ACCOUNT_DETECTORS}
    assert {name: held.version for name, held in starter.detectors.items()} == wanted
    Path("starter").write_text("my own")
    with pytest.raises(InputError, match="not a reference"):
        load(Path("starter"))


def test_one_of_the_first_version_is_read(reference: Reference, tmp_path: Path) -> None:
    old = msgspec.to_builtins(reference, builtin_types=(bytes, datetime))
    for name in ("kinds", "alarms", "expires", "contamination", "left_out", "starter"):
        del old[name]
    path = tmp_path / "x"
    path.write_bytes(b"spiritsafe reference\n" + msgspec.msgpack.encode({**old, "version": 1}))
    assert load(path) == msgspec.structs.replace(reference, version=1)


def test_an_alarm_rate_has_an_exact_interval() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    low, high = Alarm(kind="", since=now, until=now, level=0.01, tested=100, alarms=0).interval()
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025 ** (1 / 100))


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
    ("change", "words"), [({"version": VERSION + 1}, f"version {VERSION + 1}"), ({"sketch": "text-9"}, "text-9")]
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
