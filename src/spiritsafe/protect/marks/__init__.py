"""Marks: how an answer carries our randomness, and how a text is found to carry it. One file a scheme."""

from __future__ import annotations

from spiritsafe.protect.marks.choice import Choice, choose
from spiritsafe.protect.marks.detect import Detection, TooFewTokens, detect, encode
from spiritsafe.protect.marks.gumbel import Gumbel
from spiritsafe.protect.marks.kgw import Kgw
from spiritsafe.protect.marks.registry import EXAMPLES, SCHEMES, mark
from spiritsafe.protect.marks.tournament import Tournament
from spiritsafe.protect.marks.types import ChoiceMark, LogitMark, Mark

__all__ = [
    "EXAMPLES",
    "SCHEMES",
    "Choice",
    "ChoiceMark",
    "Detection",
    "Gumbel",
    "Kgw",
    "LogitMark",
    "Mark",
    "TooFewTokens",
    "Tournament",
    "choose",
    "detect",
    "encode",
    "mark",
]
