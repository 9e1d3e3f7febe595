from itertools import islice
from random import Random

from spiritsafe.drill.tenants import coder


def test_a_developer_stays_with_two_languages_and_a_few_functions() -> None:
    text = " ".join(ask.prompt for ask in islice(coder.KIND.asks(Random(4)), 300))
    assert sum(f"{language} " in text or f"{language}:" in text for language in coder.GRAMMAR.rules["language"]) <= 3
    assert sum(function in text for function in coder.GRAMMAR.rules["function"]) == 5
