from __future__ import annotations

from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import TopPLogitsWarper

from spiritsafe.errors import InputError, UsageError
from spiritsafe.teach.sampling import Sampler, Temperature, TopP, check, top_logprobs
from spiritsafe.teach.types import Context, Sampling

NOWHERE = Context((), ())


def row(seed: int = 0, size: int = 40) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 3


def draws(sampler: Sampler, logits: torch.Tensor, count: int) -> list[int]:
    return [sampler.draw(logits.clone(), NOWHERE) for _ in range(count)]


@pytest.mark.parametrize("size", [40, 3000])
@given(mass=st.floats(0.01, 0.999), seed=st.integers(0, 50))
def test_top_p_keeps_what_transformers_keeps(size, mass, seed) -> None:
    logits = row(seed, size) / 5
    expected = TopPLogitsWarper(mass)(None, logits[None].clone())[0]
    got = TopP(mass)(logits.clone(), NOWHERE)
    assert torch.equal(got.isfinite(), expected.isfinite())
    assert torch.equal(got[got.isfinite()], logits[got.isfinite()])


def test_temperature_divides() -> None:
    assert torch.equal(Temperature(2.0)(row(), NOWHERE), row() / 2)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.8)])
def test_tokens_are_drawn_as_often_as_their_probability_says(temperature, top_p) -> None:
    logits = row(1, 6)
    sampler = Sampler(Sampling(temperature=temperature, top_p=top_p, seed=3), 0)
    counts = torch.bincount(torch.tensor(draws(sampler, logits, 4000)), minlength=6)
    warped = TopP(top_p)(logits / temperature, NOWHERE) if top_p < 1 else logits / temperature
    expected = warped.double().softmax(0) * 4000
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert chisquare(counts[kept].numpy(), expected[kept].numpy()).pvalue > 1e-3


def test_a_seed_and_a_choice_fix_the_draws() -> None:
    first = draws(Sampler(Sampling(seed=5), 0), row(), 30)
    assert draws(Sampler(Sampling(seed=5), 0), row(), 30) == first
    assert draws(Sampler(Sampling(seed=5), 1), row(), 30) != first
    assert draws(Sampler(Sampling(seed=6), 0), row(), 30) != first
    assert draws(Sampler(Sampling(seed=-5), 0), row(), 30) == draws(Sampler(Sampling(seed=2**64 - 5), 0), row(), 30)


def test_without_a_seed_no_two_are_alike() -> None:
    assert draws(Sampler(Sampling(), 0), row(), 40) != draws(Sampler(Sampling(), 0), row(), 40)


def test_temperature_0_takes_the_likeliest() -> None:
    assert draws(Sampler(Sampling(temperature=0, top_p=0.1), 0), row(), 3) == [int(row().argmax())] * 3


class Log:
    def __init__(self, stage, name, calls) -> None:
        self.stage, self.name, self.calls = stage, name, calls

    def __call__(self, logits, context):
        self.calls.append((self.name, float(logits[0])))
        return logits


def test_processors_stand_before_or_after_the_warpers_as_they_ask() -> None:
    calls: list[tuple[str, float]] = []
    processors = [Log("warped", "late", calls), Log("logits", "early", calls)]
    Sampler(Sampling(temperature=0.5, seed=1), 0, processors).draw(torch.tensor([3.0, 1.0]), NOWHERE)
    assert calls == [("early", 3.0), ("late", 6.0)]


@pytest.mark.parametrize("temperature", [0, 1])
def test_processors_that_leave_nothing_are_told_off(temperature) -> None:
    def nothing(logits, context):
        return torch.full_like(logits, float("-inf"))

    nothing.stage = "logits"
    with pytest.raises(InputError, match="no token"):
        Sampler(Sampling(temperature=temperature), 0, [nothing]).draw(row(), NOWHERE)


def test_a_token_of_probability_0_is_never_drawn() -> None:
    logits = torch.tensor([float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")])
    assert set(draws(Sampler(Sampling(seed=1), 0), logits, 200)) == {1, 3}


def test_logprobs_are_those_of_the_softmax() -> None:
    logits = torch.tensor([log(0.5), log(0.3), log(0.2)])
    logprob, top = top_logprobs(logits, 2, 2, [b"a", b"\xff"])
    assert logprob == pytest.approx(log(0.2))
    assert [(each.id, each.text, each.data) for each in top] == [(0, "a", b"a"), (1, "\ufffd", b"\xff")]
    assert [each.logprob for each in top] == pytest.approx([log(0.5), log(0.3)])
    assert top_logprobs(logits, 2, 0, [])[1] == ()
    assert len(top_logprobs(logits, 2, 99, [])[1]) == 3


def test_every_senseless_value_is_named() -> None:
    check(Sampling())
    with pytest.raises(UsageError) as caught:
        check(Sampling(temperature=-1, top_p=0, max_tokens=0, n=0, logprobs=-1))
    for name in ("temperature", "top_p", "max_tokens", "n ", "logprobs"):
        assert name in str(caught.value)


def test_at_temperature_zero_a_processor_after_temperature_sees_the_likeliest_token_alone() -> None:
    class Last:
        stage = "warped"

        def __call__(self, logits: torch.Tensor, context: Context) -> torch.Tensor:
            assert int(logits.isfinite().sum()) == 1
            return logits

    logits = row()
    assert Sampler(Sampling(temperature=0), 0, [Last()]).draw(logits.clone(), NOWHERE) == int(logits.argmax())
