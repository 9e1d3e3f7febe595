"""Account detectors, one file each. A new one is a file and a line in ``ACCOUNT_DETECTORS``.

Other packages add theirs by an entry point in the group ``spiritsafe.detectors`` that names a detector class.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from spiritsafe.detect.account.answers import Answers
from spiritsafe.detect.account.capability import Capability
from spiritsafe.detect.account.coverage import Coverage
from spiritsafe.detect.account.elicitation import Elicitation
from spiritsafe.detect.account.evenness import Evenness
from spiritsafe.detect.account.lengths import Lengths
from spiritsafe.detect.account.logprobs import Logprobs
from spiritsafe.detect.account.pivot import Pivot
from spiritsafe.detect.account.population import Population
from spiritsafe.detect.account.refusals import Refusals
from spiritsafe.detect.account.rhythm import Rhythm
from spiritsafe.detect.account.rubric import Rubric
from spiritsafe.detect.account.strays import Strays
from spiritsafe.detect.account.templates import Templates
from spiritsafe.detect.account.volume import Volume

if TYPE_CHECKING:
    from spiritsafe.detect.types import AccountDetector

ACCOUNT_DETECTORS: tuple[AccountDetector, ...] = (
    Population(),
    Coverage(),
    Strays(),
    Capability(),
    Elicitation(),
    Templates(),
    Rubric(),
    Refusals(),
    Volume(),
    Rhythm(),
    Evenness(),
    Pivot(),
    Answers(),
    Logprobs(),
    Lengths(),
)


def account_detectors() -> tuple[AccountDetector, ...]:
    """The detectors of this package and those that installed packages offer."""
    return (*ACCOUNT_DETECTORS, *(point.load()() for point in entry_points(group="spiritsafe.detectors")))
