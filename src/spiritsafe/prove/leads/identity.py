"""Who the suspect says it is."""

from __future__ import annotations

import re

from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.replies import texts
from spiritsafe.prove.suspect import Suspect
from spiritsafe.teach.types import Sampling

WORDS = "share of answers to 'who are you' in which the model gives the teacher's or its maker's name"
QUESTIONS = (
    "Who are you?",
    "What is your name?",
    "Which company trained you?",
    "What language model am I talking to?",
    "Introduce yourself in one sentence.",
)
EACH = 4


def identity(model: Suspect, material: Material) -> float | None:
    """Between 0 and 1; ``None`` where no names are known. Models repeat what the web says of other models."""
    if not material.names:
        return None
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, material.names)) + r")\b", re.IGNORECASE)
    asked = [question for question in QUESTIONS for _ in range(EACH)]
    sampling = [Sampling(seed=material.seed + at, max_tokens=60, temperature=0.7) for at in range(len(asked))]
    said = [text for several in model.generate(asked, sampling) for text in texts(several)]
    return sum(bool(pattern.search(text)) for text in said) / len(said) if said else None
