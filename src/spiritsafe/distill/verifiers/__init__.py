"""Verifiers of answers by name: each says whether an answer is right, and why not."""

from __future__ import annotations

from spiritsafe.distill.verifiers.code import Code
from spiritsafe.distill.verifiers.exact import Exact
from spiritsafe.distill.verifiers.judge import Judge
from spiritsafe.distill.verifiers.number import Number
from spiritsafe.distill.verifiers.types import Verdict, Verify

__all__ = ["Code", "Exact", "Judge", "Number", "Verdict", "Verify"]
