from __future__ import annotations

import math

import numpy as np
import pytest

from spiritsafe.errors import InputError
from spiritsafe.prove.suspect_weights import WeightsSuspect
from spiritsafe.teach.types import Chat, Raw, Sampling

ONE = Sampling(max_tokens=6, seed=3, logprobs=0)


def test_replies_carry_ids_and_logprobs(tiny: WeightsSuspect) -> None:
    ((reply,),) = tiny.generate(["the still"], ONE)
    assert reply.ids
    assert len(reply.ids) == len(reply.logprobs)
    assert tiny.generate(["the still"], ONE)[0][0] == reply


def test_a_prompt_too_long_is_refused_and_costs_the_others_nothing(tiny: WeightsSuspect) -> None:
    fit, unfit = tiny.generate(["the still", "x" * 500], ONE)
    assert fit[0].ending in ("stop", "length")
    assert unfit[0].ending == "refused"
    assert "context" in unfit[0].trouble


def test_a_score_is_the_sum_of_what_teacher_forcing_gives(tiny: WeightsSuspect) -> None:
    (scored,) = tiny.score([("the still", " makes it")])
    assert tiny.tokenizer is not None
    before = tiny.tokenizer.encode("<|user|>the still<|end|><|assistant|>", add_special_tokens=False)
    after = tiny.tokenizer.encode(" makes it", add_special_tokens=False)
    table = tiny.distributions([*before, *after])
    expected = [table[len(before) - 1 + at, token] for at, token in enumerate(after)]
    assert scored.logprobs == pytest.approx(expected, abs=1e-5)
    assert scored.total < 0


def test_a_raw_prompt_is_continued_as_it_stands(tiny: WeightsSuspect) -> None:
    raw, chat = tiny.score(
        [(Raw("the still"), " makes"), (Chat(({"role": "user", "content": "the still"},)), " makes")]
    )
    assert raw != chat


def test_an_answer_that_was_begun_is_gone_on_with(tiny: WeightsSuspect) -> None:
    user, begun = {"role": "user", "content": "the still"}, {"role": "assistant", "content": " makes"}
    (whole,) = tiny.score([(Chat((user,)), " makes it")])
    (rest,) = tiny.score([(Chat((user, begun)), " it")])
    assert rest.logprobs == pytest.approx(whole.logprobs[-len(rest.logprobs) :], abs=1e-4)
    likeliest = Sampling(temperature=0.0, max_tokens=4, seed=1)
    templated = Raw("<|user|>the still<|end|><|assistant|> makes")
    assert tiny.generate([Chat((user, begun))], likeliest) == tiny.generate([templated], likeliest)


@pytest.mark.parametrize(("prompt", "text"), [("a", ""), ("a", "x" * 500)])
def test_a_text_that_is_nothing_or_too_much_has_no_score(tiny: WeightsSuspect, prompt: str, text: str) -> None:
    assert tiny.score([(prompt, text)])[0].logprobs == ()


def test_distributions_sum_to_one_and_the_likeliest_is_their_peak(tiny: WeightsSuspect) -> None:
    ids = [5, 9, 11]
    table = tiny.distributions(ids)
    assert table.shape[0] == 3
    assert np.exp(table).sum(axis=1) == pytest.approx([1.0] * 3, abs=1e-4)
    assert tiny.likeliest(ids) == table.argmax(axis=1).tolist()
    assert math.isfinite(float(table.max()))


def test_a_teacher_without_a_tokenizer_is_no_local_suspect() -> None:
    from spiritsafe.teach.openai import OpenAITeacher

    with pytest.raises(InputError, match="no tokenizer"):
        WeightsSuspect(OpenAITeacher("http://127.0.0.1:1/v1", "m", None))
