from __future__ import annotations

import numpy as np
import pytest
import torch

from spiritsafe.errors import UsageError
from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey
from spiritsafe.protect.marks.embed import MarkProcessor, is_marked, logit_mark, reweighed, reweighed_early
from spiritsafe.protect.marks.registry import EXAMPLES, mark
from spiritsafe.teach.sampling import Sampler
from spiritsafe.teach.types import Context, Sampling

LOGIT = [name for name in EXAMPLES if not name.startswith("choice")]
LOGITS = np.random.default_rng(0).normal(size=500).astype(np.float32)


@pytest.mark.parametrize("name", LOGIT)
def test_the_first_tokens_carry_no_mark(name: str) -> None:
    found = mark(name)
    assert [is_marked(found, list(range(n))) for n in range(4)] == [n >= found.k for n in range(4)]


def test_a_context_met_before_is_marked_by_a_green_list_and_left_alone_by_others() -> None:
    assert is_marked(mark("kgw-k1-g0.25-d2"), [5, 6, 5])
    assert not is_marked(mark("gumbel-k1"), [5, 6, 5])
    assert not is_marked(mark("tournament-m30-k2"), [1, 5, 6, 1, 5])
    assert is_marked(mark("tournament-m30-k2"), [1, 5, 6, 5, 1])


@pytest.mark.parametrize("name", LOGIT)
def test_only_the_context_the_key_and_the_logits_have_a_say(name: str, key: MarkKey) -> None:
    found = logit_mark(mark(name))
    direct = found.reweigh(LOGITS, prf.lanes_of_vocabulary(key.sip, [8, 9][-found.k :], 500, found.bits))
    np.testing.assert_array_equal(reweighed(found, key, LOGITS, [1, 2, 8, 9]), direct)
    np.testing.assert_array_equal(reweighed(found, key, LOGITS, [3, 8, 9]), direct)


@pytest.mark.parametrize("name", LOGIT)
def test_the_processor_is_the_same_function_on_tensors(name: str, key: MarkKey) -> None:
    processor = MarkProcessor(mark(name), key)
    out = processor(torch.from_numpy(LOGITS.copy()), Context((1, 2), (8, 9)))
    expected = reweighed(logit_mark(mark(name)), key, LOGITS, [8, 9])
    np.testing.assert_array_equal(out.numpy(), expected)
    unmarked = torch.from_numpy(LOGITS)
    assert processor(unmarked, Context((1, 2), ())) is unmarked


@pytest.mark.parametrize("name", LOGIT)
def test_temperature_zero_stays_the_likeliest_token_for_marks_after_it(name: str, key: MarkKey) -> None:
    processor = MarkProcessor(mark(name), key)
    drawn = Sampler(Sampling(temperature=0), 0, [processor]).draw(torch.from_numpy(LOGITS.copy()), Context((), (1, 2)))
    if processor.stage == "warped":
        assert drawn == int(LOGITS.argmax())
    else:
        assert drawn == int(reweighed(logit_mark(mark(name)), key, LOGITS, [1, 2]).argmax())


@pytest.mark.parametrize("name", LOGIT)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_marking_before_temperature_comes_to_the_same(name: str, temperature: float, key: MarkKey) -> None:
    found = logit_mark(mark(name))
    early = reweighed_early(found, key, LOGITS, [8, 9], temperature)
    if found.stage == "logits":
        np.testing.assert_array_equal(early, reweighed(found, key, LOGITS, [8, 9]))
    else:
        late = reweighed(found, key, LOGITS / np.float32(temperature), [8, 9])
        np.testing.assert_allclose(early / temperature, late, rtol=1e-5)
        assert reweighed_early(found, key, LOGITS, [8, 9], 0.0) is LOGITS


def test_a_choice_among_answers_has_no_logits() -> None:
    with pytest.raises(UsageError, match="whole answers"):
        MarkProcessor(mark("choice-n4-k2"), None)  # type: ignore[arg-type]
