from __future__ import annotations

import numpy as np
import pytest

from spiritsafe.detect.account import ACCOUNT_DETECTORS
from spiritsafe.detect.account.mix import Mix
from spiritsafe.detect.account.sorts import model, sorts_of
from spiritsafe.record.sketch import sketch_texts

MIXES = [detector for detector in ACCOUNT_DETECTORS if isinstance(detector, Mix)]


def test_its_window_is_the_prompts_and_the_sums_of_their_sorts() -> None:
    sketches = sketch_texts(["solve 3x + 4 = 10", "what time is it in Osaka"], parts=Mix.parts)
    tracker = Mix().tracker()
    tracker.learn(Mix().features(sketches))
    assert tracker.window().tolist() == pytest.approx([2.0, *sorts_of(sketches).sum(axis=0)])
    np.testing.assert_array_equal(Mix().from_state(tracker.state()).window(), tracker.window())


def test_nothing_was_asked_of_any_sort_at_first() -> None:
    assert Mix().tracker().window().tolist() == [0.0] * (1 + len(model().names))


def test_every_mix_is_held_against_peers_and_sees_each_prompt_once() -> None:
    assert {detector.name for detector in MIXES} >= {"strays", "capability", "elicitation", "templates", "rubric"}
    for detector in MIXES:
        assert detector.needs_peers
        assert not detector.every_prompt
        assert "embedding" in detector.parts
