from __future__ import annotations

from pathlib import Path

import pytest

from spiritsafe.cli.verify_bundle import verify_bundle
from spiritsafe.prove.bundle import write


def test_a_bundle_with_something_missing_is_broken_and_says_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "b", {"plan.json": b"{}"})
    assert verify_bundle(tmp_path / "b", None, None, json=False) == 1
    assert "signer.pem: it is missing (step 2)" in capsys.readouterr().out
    assert verify_bundle(tmp_path / "b", None, None, json=True) == 1
    assert '"verdict": "broken"' in capsys.readouterr().out
