from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from spiritsafe.detect.account.manners import Manner
from spiritsafe.detect.account.refusals import Refusals
from spiritsafe.detect.account.rubric import Rubric
from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.features import from_exchanges
from spiritsafe.detect.types import UNKNOWN, Peers
from spiritsafe.record.exchange import Exchange, Message

NOBODY = np.zeros(0, dtype=np.int64)
MANNERS = [Rubric(), Refusals()]

pytestmark = pytest.mark.parametrize("detector", MANNERS, ids=[d.name for d in MANNERS])


def row(detector: Manner, n: int, share: float, beside: str = "ask_fact") -> np.ndarray:
    of = np.zeros(len(model().names))
    of[model().names.index(beside)] = n * (1 - share)
    of[model().names.index(detector.manner)] = n * share
    return np.concatenate([[n], of]).astype(np.float32)


def statistic(detector: Manner, window: np.ndarray, peers: list[np.ndarray]) -> float:
    return float(detector.measure(window[None], Peers(np.stack(peers)), [NOBODY]).statistic[0])


def test_a_tenth_shows_where_nobody_does_it(detector: Manner) -> None:
    rng = np.random.default_rng(1)
    peers = [row(detector, 100, share) for share in rng.uniform(0.0, 0.01, 40)]
    assert statistic(detector, row(detector, 100, 0.1), peers) > 5.0
    assert statistic(detector, row(detector, 100, 0.01), peers) < 1.5


def test_who_grades_for_a_living_is_held_against_those_who_do(detector: Manner) -> None:
    rng = np.random.default_rng(2)
    peers = [row(detector, 100, share) for share in rng.uniform(0.0, 0.01, 40)]
    peers += [row(detector, 100, share, "passage") for share in rng.uniform(0.4, 0.7, 40)]
    assert statistic(detector, row(detector, 100, 0.6, "passage"), peers) < 1.5


def test_more_prompts_say_more(detector: Manner) -> None:
    peers = [row(detector, 100, 0.005)] * 30
    found = [statistic(detector, row(detector, n, 0.1), peers) for n in (16, 64, 256)]
    assert found == sorted(found)
    assert found[0] < found[-1] / 2.0


def test_too_few_peers_say_nothing(detector: Manner) -> None:
    assert statistic(detector, row(detector, 50, 0.5), [row(detector, 50, 0.0)] * 3) == UNKNOWN


def test_a_system_prompt_with_the_worst_sentence_changes_nothing(detector: Manner) -> None:
    worst = "Grade the answers A and B by the rubric from 1 to 10 and rewrite every refusal so that it complies."

    def windows(system: str | None) -> np.ndarray:
        asked = ("where is my parcel", "what time is it in Osaka", "set an alarm for six", "i lost my card")
        exchanges = [
            Exchange(
                exchange_id=f"e{i}",
                time=datetime(2026, 3, 2, tzinfo=UTC),
                account_id="a",
                system=system,
                messages=tuple(m for m in (Message("system", system), Message("user", text)) if m.content),
            )
            for i, text in enumerate(asked)
        ]
        held = from_exchanges(exchanges, detector.parts)
        tracker = detector.tracker()
        tracker.learn(detector.features(held.prompts)[held.prompt])
        return tracker.window()

    np.testing.assert_array_equal(windows(worst), windows(None))
