from itertools import islice
from random import Random

from spiritsafe.drill.tenants import support


def test_a_bot_has_one_system_prompt_that_names_its_house() -> None:
    houses = set()
    for seed in range(30):
        systems = {ask.system for ask in islice(support.KIND.asks(Random(seed)), 50)}
        assert len(systems) == 1
        (system,) = systems
        houses |= {house for house in support.HOUSES if house in str(system)}
    assert houses == set(support.HOUSES)


def test_every_house_hears_hundreds_of_complaints() -> None:
    assert all(grammar.count() > 250 for grammar in support.HOUSES.values())
