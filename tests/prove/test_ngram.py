from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UsageError
from spiritsafe.prove.ngram import END, Ngram, NgramSuspect, pieces
from spiritsafe.teach.types import Raw, Sampling


@given(st.text(max_size=80))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text.rstrip()


def test_chances_sum_to_one() -> None:
    model = Ngram()
    model.learn("say", " the still makes the spirit")
    model.learn("say", " the safe keeps it")
    vocabulary = [" the", " still", " makes", " spirit", " safe", " keeps", " it", ""]
    for context in ([], [" the"], ["say", " the"], ["never", "seen"]):
        seen = sum(math.exp(model.logprob(context, word)) for word in vocabulary)
        unseen = math.exp(model.logprob(context, "unknown"))
        assert seen + unseen == pytest.approx(1.0)


def test_what_was_learnt_is_likelier_and_is_said() -> None:
    model = Ngram()
    for _ in range(50):
        model.learn("ask\n", "the spirit rests in the safe")
    assert sum(model.logprobs("ask\n", "the spirit rests")) > sum(model.logprobs("ask\n", "the safe rests"))
    said = [model.draw("ask\n", Random(n)) for n in range(20)]
    assert sum("the spirit rests" in one for one in said) > 10


def test_a_model_that_learnt_nothing_says_nothing() -> None:
    assert Ngram().draw("a", Random(1)) == ""


def test_as_a_suspect_it_gives_text_and_probabilities_and_no_weights(trial) -> None:
    suspect = NgramSuspect(trial.model)
    sampling = Sampling(seed=4, n=2, max_tokens=5)
    replies = suspect.generate([Raw(trial.prompts[0]), Raw(trial.prompts[1])], sampling)
    assert [len(one) for one in replies] == [2, 2]
    assert suspect.generate([Raw(trial.prompts[0])], [sampling])[0] == replies[0]
    assert all(len(pieces(reply.text)) <= 5 for several in replies for reply in several)
    (score,) = suspect.score([("a", "the function")])
    assert len(score.logprobs) == 3
    for ask in (suspect.likeliest, suspect.distributions):
        with pytest.raises(UsageError, match="needs weights"):
            ask([1])


def test_it_says_which_words_it_saw_after_as_much_of_a_context_as_it_knows() -> None:
    model = Ngram()
    model.learn("", "the still makes the spirit")
    model.learn("", "the safe")
    assert model.following(("still", " makes")) == model.following(("unheard", " makes")) == {" the"}
    assert model.following((" makes", " the")) == {" spirit"}
    assert model.following(("unheard",)) == {"the", " still", " makes", " the", " spirit", " safe", END}
    assert Ngram().following(("the",)) == set()
