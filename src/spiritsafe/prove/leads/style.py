"""How alike the suspect and the teacher write: the commonest words and marks, and how often each uses them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.replies import texts
from spiritsafe.prove.suspect import Suspect
from spiritsafe.teach.types import Sampling

WORDS = "cosine of how often the model and the teacher use the teacher's hundred commonest words and marks"
PIECES = re.compile(r"\w+|[^\w\s]|\n")
COMMON = 100
MOST = 60
LENGTH = 128


def style(model: Suspect, material: Material) -> float | None:
    """Between 0 and 1; ``None`` where there is nothing to compare. Anybody who writes English is near 1."""
    asked = material.asked[:MOST]
    sampling = [Sampling(seed=material.seed + at, max_tokens=LENGTH, temperature=0.7) for at in range(len(asked))]
    replies = model.generate([prompt for prompt, _ in asked], sampling) if asked else []
    own = [text for several in replies for text in texts(several)]
    theirs = [answer for _, answer in asked]
    return alike(own, theirs) if own and theirs else None


def alike(own: Iterable[str], theirs: Iterable[str]) -> float:
    """The cosine of two texts' counts of the second's commonest words, by the root of their frequency."""
    ours, wanted = (Counter(word for text in some for word in PIECES.findall(text.lower())) for some in (own, theirs))
    common = [word for word, _ in wanted.most_common(COMMON)]
    one, two = ([math.sqrt(counts[word]) for word in common] for counts in (ours, wanted))
    length = math.hypot(*one) * math.hypot(*two)
    return sum(a * b for a, b in zip(one, two, strict=True)) / length if length else 0.0
