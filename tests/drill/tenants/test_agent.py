from itertools import islice
from random import Random

from spiritsafe.drill.tenants import agent


def test_an_agent_names_the_tools_of_its_errand() -> None:
    for seed in range(12):
        ask = next(agent.KIND.asks(Random(seed)))
        assert any(all(call in str(ask.system) for call in e.rules["call"]) for e in agent.ERRANDS.values())


def test_every_step_asks_for_exactly_one_call() -> None:
    for ask in islice(agent.KIND.asks(Random(5)), 100):
        assert ask.prompt.endswith(("next call?", "choose one tool"))
