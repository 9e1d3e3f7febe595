"""Account detectors, one file each. A new one is a file and a line in ``ACCOUNT_DETECTORS``.

Other packages add theirs by an entry point in the group ``spiritsafe.detectors`` that names a detector class.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from spiritsafe.detect.account.coverage import Coverage
from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.account.population import Population

if TYPE_CHECKING:
    from spiritsafe.detect.types import AccountDetector

ACCOUNT_DETECTORS: tuple[AccountDetector, ...] = (Population(), Coverage(), Elicitation())


def account_detectors() -> tuple[AccountDetector, ...]:
    """The detectors of this package and those that installed packages offer."""
    return (*ACCOUNT_DETECTORS, *(point.load()() for point in entry_points(group="spiritsafe.detectors")))
