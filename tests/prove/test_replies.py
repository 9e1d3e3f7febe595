from __future__ import annotations

import pytest

from spiritsafe.prove.replies import flag, opened, reply_of, spelled, tally, texts
from spiritsafe.prove.suspect import Reply
from spiritsafe.teach.types import Answer, Chat, Raw, Token

PROSE = (
    "The still is heated slowly, and what comes over first is thrown away. What follows is caught in the safe, where "
    "nobody can reach it, and weighed before anybody signs for it. The rest goes back to be heated once more tomorrow."
)


def said(text: str, ending: str = "stop") -> Reply:
    return Reply(text=text, ending=ending)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said(PROSE), None),
        (said("4"), None),
        (said("I'm sorry, but I can't help with that."), "refusal"),
        (said("As an AI language model, I have no taste."), "refusal"),
        (said(PROSE + " I am sorry that it ended."), None),
        (said("  \n"), "empty"),
        (said("", "refused"), "refused"),
        (said("the safe the still " * 40), "repeating"),
        (said("蒸留器はゆっくり加熱される。最初に出るものは捨てる。"), "other-language"),
        (said("Größe, naïve café, déjà vu, façade"), None),
    ],
)
def test_what_makes_a_reply_useless_is_named(reply: Reply, expected: str | None) -> None:
    assert flag(reply, expected=PROSE) == expected


def test_a_language_is_foreign_only_against_one_hoped_for() -> None:
    assert flag(said("Перегонный куб нагревают медленно.")) is None
    assert flag(said("Перегонный куб нагревают медленно."), expected="Что это?") is None
    assert flag(said("Slowly, it is heated."), expected="Что это такое?") == "other-language"


def test_the_tally_counts_what_was_left_out() -> None:
    assert tally(["empty", None, "refusal", "refusal"]) == ("2 replies left out: refusal", "1 replies left out: empty")
    assert tally([None]) == ()


def test_only_fit_texts_are_taken() -> None:
    assert texts([said("yes"), said(""), said("I cannot help with this")]) == ("yes",)


def test_a_reply_has_ids_only_if_every_token_does() -> None:
    def token(number: int | None, logprob: float | None) -> Token:
        return Token(id=number, text="a", data=b"a", logprob=logprob)

    whole = reply_of(Answer(choice=0, text="aa", tokens=(token(1, -0.5), token(2, -1.0)), finish="stop"))
    assert (whole.ids, whole.logprobs) == ((1, 2), (-0.5, -1.0))
    half = reply_of(Answer(choice=0, text="aa", tokens=(token(1, -0.5), token(None, None)), finish="length"))
    assert (half.ids, half.logprobs) == ((), ())


def test_prompts_are_spelled_as_plain_text() -> None:
    assert spelled("ask") == "ask\n"
    assert spelled(Raw("as it stands")) == "as it stands"
    begun = Chat(({"role": "user", "content": "ask"}, {"role": "assistant", "content": "Well, "}))
    assert spelled(begun) == "ask\nWell, "
    assert opened(begun) == (({"role": "user", "content": "ask"},), "Well, ")
    assert opened(Chat(())) == ((), "")
    assert spelled(Chat(({"role": "system", "content": "be"}, {"role": "user", "content": "ask"}))) == "be\nask\n"
