"""The tests that a protocol can run. A new one is a file here and a line in ``INSTRUMENTS``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from spiritsafe.errors import UsageError
from spiritsafe.prove.instruments.types import Instrument, Opener, Options

INSTRUMENTS: dict[str, str] = {
    "twins": "spiritsafe.prove.instruments.twins:open_twins",
    "canaries": "spiritsafe.prove.instruments.canaries:open_canaries",
    "radioactivity": "spiritsafe.prove.instruments.radioactivity:open_radioactivity",
    "tracing": "spiritsafe.prove.instruments.tracing:open_tracing",
}


def open_instrument(name: str, inputs: Path, options: Options) -> Instrument:
    """The test of that name on its inputs. Raises ``UsageError`` for a name that is none, ``InputError`` for inputs it
    can't use.
    """
    if name not in INSTRUMENTS:
        raise UsageError(f"there is no test {name!r}", remedy=f"Valid names: {', '.join(INSTRUMENTS)}.")
    module, _, function = INSTRUMENTS[name].partition(":")
    return cast(Opener, getattr(import_module(module), function))(inputs, options)
