from __future__ import annotations

import itertools

import numpy as np
import pytest

from spiritsafe.protect.marks.tournament import Tournament


def played(chances: list[float], bits: list[list[int]]) -> np.ndarray:
    """The distribution of the winner when 2**m candidates are drawn and meet in pairs: by all their combinations."""
    m, out = len(bits), np.zeros(len(chances))
    for drawn in itertools.product(range(len(chances)), repeat=2**m):
        field = [(np.prod([chances[i] for i in drawn]), list(drawn))]
        for layer in range(m):
            onward = []
            for weight, left in field:
                split = [(weight, [])]
                for a, b in zip(left[0::2], left[1::2], strict=True):
                    if bits[layer][a] == bits[layer][b]:
                        split = [(w / 2, [*won, each]) for w, won in split for each in (a, b)]
                    else:
                        winner = a if bits[layer][a] else b
                        split = [(w, [*won, winner]) for w, won in split]
                onward += split
            field = onward
        for weight, (winner,) in field:
            out[winner] += weight
    return out


@pytest.mark.parametrize("m", [1, 2])
def test_reweighing_is_what_a_tournament_does(m: int) -> None:
    chances = [0.5, 0.3, 0.2]
    lanes = np.array([0b01, 0b10, 0b11], dtype=np.uint32)
    bits = [[int(lane) >> layer & 1 for lane in lanes] for layer in range(m)]
    out = Tournament(m, 1).reweigh(np.log(np.array(chances, dtype=np.float32)), lanes)
    np.testing.assert_allclose(np.exp(out), played(chances, bits), atol=1e-6)


def test_bits_above_its_layers_do_not_count() -> None:
    lanes = np.array([0b1111, 0b1011], dtype=np.uint32)
    np.testing.assert_array_equal(Tournament(2, 1).score(lanes), [2.0, 2.0])


def test_a_token_that_stands_alone_stays() -> None:
    logits = np.array([-np.inf, 3.0], dtype=np.float32)
    out = Tournament(30, 1).reweigh(logits, np.array([2**32 - 1, 0], dtype=np.uint32))
    assert np.isneginf(out[0])
    assert out[1] == pytest.approx(0.0, abs=1e-5)


def test_many_layers_never_leave_a_negative_mass() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        logits = (rng.normal(size=40) * 20).astype(np.float32)
        out = Tournament(32, 1).reweigh(logits, rng.integers(0, 2**32, 40, dtype=np.uint32))
        assert np.exp(out[np.isfinite(out)]).sum() == pytest.approx(1.0, abs=1e-3)
