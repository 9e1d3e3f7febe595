"""How the suspect chooses where nothing is better than anything else."""

from __future__ import annotations

import re
from collections import Counter

from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.replies import texts
from spiritsafe.prove.suspect import Suspect
from spiritsafe.teach.types import Sampling

WORDS = "overlap of what the model and the teacher choose where any answer would do"
QUESTIONS = (
    "Pick a number from 1 to 10. Answer with the number alone.",
    "Name a colour. One word.",
    "Name an animal. One word.",
    "Pick a letter of the alphabet. One letter.",
    "Name a city. One word.",
    "Pick heads or tails. One word.",
)
EACH = 8


def choices(model: Suspect, material: Material) -> float | None:
    """The mean over questions, 0 to 1; ``None`` where the teacher can't be asked. Many models like 7 and blue."""
    if material.teacher is None:
        return None
    own, theirs = _chosen(model, material.seed), _chosen(material.teacher, material.seed)
    return sum(_overlap(own[q], theirs[q]) for q in range(len(QUESTIONS))) / len(QUESTIONS)


def _chosen(model: Suspect, seed: int) -> list[Counter[str]]:
    asked = [question for question in QUESTIONS for _ in range(EACH)]
    sampling = [Sampling(seed=seed + at, max_tokens=8, temperature=1.0) for at in range(len(asked))]
    replies = model.generate(asked, sampling)
    found = []
    for at in range(len(QUESTIONS)):
        several = [text for one in replies[at * EACH : (at + 1) * EACH] for text in texts(one)]
        found.append(Counter(word[0].lower() for text in several if (word := re.findall(r"\w+", text))))
    return found


def _overlap(one: Counter[str], two: Counter[str]) -> float:
    if not one or not two:
        return 0.0
    return sum(min(one[word] / one.total(), two[word] / two.total()) for word in one.keys() & two.keys())
