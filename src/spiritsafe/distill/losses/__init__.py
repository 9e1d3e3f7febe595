"""Losses by name, without loading any: what a recipe may ask for, and what each needs of the teacher."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from spiritsafe.errors import UsageError

if TYPE_CHECKING:
    from spiritsafe.distill.losses.types import Loss

Needs = Literal["tokens", "dense", "topk", "sampled"]


class Entry(NamedTuple):
    """``needs``: the form of the teacher (``losses.types``). ``same_tokenizer``: columns must mean the same tokens."""

    needs: Needs
    same_tokenizer: bool


LOSSES: dict[str, Entry] = {
    "sft": Entry("tokens", True),
    "forward_kl": Entry("dense", True),
    "reverse_kl": Entry("dense", True),
    "jsd": Entry("dense", True),
    "topk_kl": Entry("topk", True),
    "sampled_kl": Entry("sampled", True),
    "uld": Entry("dense", False),
}


def load(name: str) -> Loss:
    """The loss of that name; imports torch. Raises ``UsageError`` with the valid names."""
    if name not in LOSSES:
        raise UsageError(f"no loss is called {name!r}", remedy=f"Valid names: {', '.join(LOSSES)}.")
    return cast("Loss", getattr(import_module(f"spiritsafe.distill.losses.{name}"), name))
