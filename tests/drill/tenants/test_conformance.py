"""What every kind of tenant keeps; each registered kind is put through it."""

import re
from itertools import islice
from random import Random

import pytest

from spiritsafe.drill.tenants import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_registered_under_its_own_name(name: str) -> None:
    assert KINDS[name].name == name
    assert KINDS[name].clients
    assert KINDS[name].pause > 0


@pytest.mark.parametrize("name", KINDS)
def test_an_account_asks_hundreds_of_different_things(name: str) -> None:
    for seed in range(5):
        asks = list(islice(KINDS[name].asks(Random(seed)), 400))
        assert len({ask.prompt for ask in asks}) > 200


@pytest.mark.parametrize("name", KINDS)
def test_two_accounts_of_a_kind_have_characters_of_their_own(name: str) -> None:
    drawn = [frozenset(a.prompt for a in islice(KINDS[name].asks(Random(seed)), 100)) for seed in range(8)]
    assert len(set(drawn)) == 8


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_is_the_same_account(name: str) -> None:
    first, again = (list(islice(KINDS[name].asks(Random(3)), 30)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("name", KINDS)
def test_asks_are_short_enough_for_a_small_machine(name: str) -> None:
    for ask in islice(KINDS[name].asks(Random(1)), 300):
        assert 0 < len(ask.prompt) < 400
        assert 1 <= ask.max_tokens <= 32
        assert 0 <= ask.temperature <= 1
        assert not re.search(r"\{[a-z_]+(:[0-9-]+)?\}", ask.prompt), "an unfilled slot"
