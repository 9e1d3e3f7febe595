from itertools import islice
from random import Random

import pytest

from spiritsafe.drill.tenants import translator


def test_the_instruction_names_the_language_of_the_sentence() -> None:
    for ask in islice(translator.KIND.asks(Random(2)), 50):
        assert any(source in str(ask.system) for source in translator.SOURCES)


def test_batches_cover_every_language() -> None:
    systems = {ask.system for seed in range(60) for ask in islice(translator.KIND.asks(Random(seed)), 12)}
    for source in translator.SOURCES:
        assert any(source in str(system) for system in systems)


@pytest.mark.parametrize("language", translator.SOURCES)
def test_sentences_are_plentiful(language: str) -> None:
    assert translator.SOURCES[language].count() > 250


def test_a_sentence_opens_with_a_capital() -> None:
    assert all(a.prompt[0].isupper() for seed in range(9) for a in islice(translator.KIND.asks(Random(seed)), 50))
