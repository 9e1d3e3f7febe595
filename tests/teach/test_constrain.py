from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.teach.constrain import Constrain
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.grammar import json_value, literal, start
from spiritsafe.teach.sampling import Sampler
from spiritsafe.teach.types import Context, Sampling

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["name", "n"],
}
END = 0


def written(tokenizer, symbol, limit: int, seed: int, temperature: float = 1.0) -> tuple[str, bool]:
    """What logits of pure noise write under the grammar, and whether they came to the end token."""
    table = pieces(tokenizer)
    sampler = Sampler(
        Sampling(temperature=temperature, seed=seed), 0, [Constrain(start(symbol), table, frozenset({END}), limit)]
    )
    generator = torch.Generator().manual_seed(seed)
    generated: list[int] = []
    while len(generated) < limit:
        token = sampler.draw(torch.randn(len(tokenizer), generator=generator) * 4, Context((), generated))
        if token == END:
            return table.join(generated), True
        generated.append(token)
    return table.join(generated), False


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(30, 120), st.sampled_from([0, 1]))
def test_noise_writes_json_of_the_schema_within_any_limit_that_allows_it(tokenizer, seed, limit, temperature) -> None:
    text, _ = written(tokenizer, json_value(SCHEMA), limit, seed, temperature)
    value = json.loads(text)
    assert set(value) == {"name", "n"}


def test_after_the_end_only_an_end_token_is_left(tokenizer) -> None:
    assert written(tokenizer, literal("the safe"), 20, 1) == ("the safe", True)


def test_with_too_small_a_limit_what_is_there_is_a_beginning(tokenizer) -> None:
    text, finished = written(tokenizer, json_value(SCHEMA), 3, 1)
    assert not finished
    assert text.startswith("{")
    with pytest.raises(ValueError, match=r"."):
        json.loads(text)


def test_a_likely_token_that_fits_is_kept_with_its_logit(tokenizer) -> None:
    table = pieces(tokenizer)
    wanted = tokenizer.encode("the", add_special_tokens=False)[0]
    logits = torch.zeros(len(tokenizer))
    logits[wanted] = 3.5
    out = Constrain(start(literal("the safe")), table, frozenset({END}), 50)(logits, Context((), ()))
    assert out[wanted] == 3.5
    assert all(table[int(token)] for token in out.isfinite().nonzero())
