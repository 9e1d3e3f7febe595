from random import Random

import pytest

from spiritsafe.drill.grammar import Grammar, seeded

RULES = {
    "start": ["{who} has {int:2-4} {thing}", "{who} and {who}"],
    "who": ["Ada", "Ben", "Cy"],
    "thing": ["cats", "hats"],
}


def test_every_slot_is_expanded() -> None:
    grammar = Grammar(RULES)
    texts = {grammar.draw(Random(n)) for n in range(300)}
    assert "Ada has 2 cats" in texts
    assert not any("{" in text for text in texts)


def test_numbers_stay_in_their_range() -> None:
    grammar = Grammar({"start": ["{int:7-9}"]})
    assert {grammar.draw(Random(n)) for n in range(100)} == {"7", "8", "9"}


def test_alternatives_of_a_symbol_differ_within_one_text_while_there_are_any_left() -> None:
    grammar = Grammar({"start": ["{who} {who} {who}"], "who": ["a", "b"]})
    for n in range(50):
        first, second, third = grammar.draw(Random(n)).split()
        assert {first, second} == {"a", "b"}
        assert third in {"a", "b"}


def test_count_multiplies_slots_and_adds_alternatives() -> None:
    assert Grammar(RULES).count() == 3 * 3 * 2 + 3 * 3


def test_narrowed_keeps_only_some_alternatives() -> None:
    grammar = Grammar(RULES).narrowed(Random(0), who=1, thing=9)
    assert len(grammar.rules["who"]) == 1
    assert set(grammar.rules["thing"]) == {"cats", "hats"}


@pytest.mark.parametrize("text", ["{nobody}", "{int}"])
def test_a_slot_without_a_rule_is_found_at_once(text: str) -> None:
    with pytest.raises(ValueError, match="has no rule"):
        Grammar({"start": [text]})


def test_seeded_depends_on_the_text_alone() -> None:
    assert seeded("a").random() == Random("a").random()
    assert seeded("a").random() != seeded("b").random()
