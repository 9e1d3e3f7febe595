"""Real English with its real repetitions, and models of n-grams that learned from it."""

from __future__ import annotations

from pydoc_data.topics import topics

import pytest

from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain, numbered


@pytest.fixture(scope="session")
def english() -> list[Words]:
    return numbered([topics[name] for name in sorted(topics)])


@pytest.fixture(scope="session")
def writer(english: list[Words]) -> Chain:
    """A chain with one word of context."""
    return Chain.of(english)


@pytest.fixture(scope="session")
def writer2(english: list[Words]) -> Chain:
    """A chain with two words of context."""
    return Chain.of(english, 2)


@pytest.fixture(scope="session")
def key() -> MarkKey:
    return key_of(b"a secret of thirty-two bytes....", "any", 1)


@pytest.fixture(scope="session")
def other_key() -> MarkKey:
    return key_of(b"another secret of 32 bytes......", "any", 1)
