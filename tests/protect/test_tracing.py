from __future__ import annotations

import numpy as np
import pytest
import torch

from spiritsafe.protect import prf
from spiritsafe.protect.keys import key_of
from spiritsafe.protect.marks.marker import Processed
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.tracing import CUT, Code, TracingMarker, TracingProcessor
from spiritsafe.teach.types import Context

MARK = Traced(1, 64, 2.0, 2000)
KEY = key_of(bytes(range(32)), MARK.name, 1)
CODE = Code(MARK, KEY)


def test_biases_follow_the_arcsine_law_within_the_cut() -> None:
    angles = np.arcsin(np.sqrt(CODE.biases))
    assert angles.min() >= CUT
    assert angles.max() <= np.pi / 2 - CUT
    assert angles.mean() == pytest.approx(np.pi / 4, abs=0.03)
    assert np.histogram(angles, 8)[0].min() > 180


def test_a_bit_is_one_with_its_position_s_chance() -> None:
    words = np.array([CODE.word(f"tenant {i}") for i in range(400)])
    np.testing.assert_allclose(words.mean(axis=0), CODE.biases, atol=5 * 0.5 / np.sqrt(400))


def test_code_words_of_two_tenants_have_nothing_but_the_biases_in_common() -> None:
    a, b = ((CODE.word(name) - CODE.biases) / np.sqrt(CODE.biases * (1 - CODE.biases)) for name in ("a", "b"))
    assert abs(float(a @ b)) / np.sqrt(a.size) < 4


def test_names_key_and_epoch_give_the_same_code_again() -> None:
    again = Code(MARK, key_of(bytes(range(32)), MARK.name, 1))
    np.testing.assert_array_equal(again.word("acme"), CODE.word("acme"))
    other = Code(MARK, key_of(bytes(range(32)), MARK.name, 2, "x"))
    assert (other.word("acme") == CODE.word("acme")).mean() < 0.75


def test_a_tenant_s_processor_favours_its_own_lists() -> None:
    row = torch.zeros(500)
    out = TracingProcessor(CODE, "acme")(row.clone(), Context((1, 2), (9,))).numpy()
    lanes = prf.lanes_of_vocabulary(KEY.sip, [9], 500, MARK.bits)
    expected = MARK.side(lanes) == np.where(CODE.word("acme")[MARK.position(lanes)], 1.0, -1.0)
    np.testing.assert_array_equal(out == 2.0, expected)
    assert TracingProcessor(CODE, "acme")(row, Context((1, 2), ())) is row


def test_whoever_asks_gets_an_answer_with_the_own_mark() -> None:
    marker = TracingMarker(MARK, KEY)
    assert marker.mark_id == KEY.mark_id
    for tenant in ("acme", None):
        assert isinstance(marker.of(_Teacher(), tenant), Processed)  # type: ignore[arg-type]


class _Teacher:
    name = terms_id = "t"
    access, context_length, tokenizer = "weights", 10, None
