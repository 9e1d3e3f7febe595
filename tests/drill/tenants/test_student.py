from itertools import islice
from random import Random

from spiritsafe.drill.tenants import student


def test_students_ask_for_the_steps_now_and_then_but_not_always() -> None:
    prompts = [ask.prompt for seed in range(10) for ask in islice(student.KIND.asks(Random(seed)), 100)]
    pleas = sum(p.endswith(("Can you show me how?", "Explain it please.", "what comes first?")) for p in prompts)
    assert 0.1 < pleas / len(prompts) < 0.5


def test_homework_is_numbered_upwards() -> None:
    prompts = [ask.prompt for ask in islice(student.KIND.asks(Random(1)), 200)]
    numbers = [int(p.split()[1].rstrip(")")) for p in prompts if p.startswith("Question ")]
    assert numbers == sorted(set(numbers))
