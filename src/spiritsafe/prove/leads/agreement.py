"""How often the suspect's likeliest next token is the one that the teacher wrote."""

from __future__ import annotations

from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.suspect import Suspect, gives

WORDS = "share of places in the teacher's answers at which the model would go on as the teacher did"
MOST = 100


def agreement(model: Suspect, material: Material) -> float | None:
    """Between 0 and 1; ``None`` without the model's weights or without answers. Models of one family agree anyway, and
    so do good ones with each other.
    """
    if not gives(model, "weights") or model.tokenizer is None:
        return None
    right = places = 0
    for _, answer in material.asked[:MOST]:
        ids = model.tokenizer.encode(answer, add_special_tokens=False)
        if len(ids) < 2:
            continue
        guessed = model.likeliest(ids)
        right += sum(a == b for a, b in zip(guessed[:-1], ids[1:], strict=True))
        places += len(ids) - 1
    return right / places if places else None
