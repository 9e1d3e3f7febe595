from itertools import islice
from random import Random

from spiritsafe.drill.tenants import person


def test_a_person_keeps_few_interests() -> None:
    for seed in range(20):
        asks = islice(person.KIND.asks(Random(seed)), 60)
        assert all(ask.system is None for ask in asks)
    assert sum(grammar.count() for grammar in person.INTERESTS.values()) > 5_000


def test_some_persons_write_in_lower_case_throughout() -> None:
    streams = [[a.prompt for a in islice(person.KIND.asks(Random(seed)), 20)] for seed in range(40)]
    lower = [all(p == p.lower() for p in prompts) for prompts in streams]
    assert 0 < sum(lower) < 40
