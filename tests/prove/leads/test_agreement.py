from __future__ import annotations

from spiritsafe.prove.leads.agreement import agreement
from spiritsafe.prove.leads.types import Material
from spiritsafe.prove.suspect_weights import WeightsSuspect
from spiritsafe.teach.types import Raw, Sampling


def test_a_model_agrees_with_itself_more_than_with_other_text(tiny: WeightsSuspect) -> None:
    likeliest = Sampling(temperature=0.0, max_tokens=12, seed=1)
    prompts = ["the still", "the safe", "Every drop"]
    own = [prompt + tiny.generate([Raw(prompt)], likeliest)[0][0].text for prompt in prompts]
    mine = agreement(tiny, Material(asked=tuple(zip(prompts, own, strict=True))))
    other = agreement(tiny, Material(asked=(("a", "zq xv jk wq pf gh mm kk ll"),)))
    assert mine is not None
    assert other is not None
    assert mine > other


def test_without_weights_or_answers_there_is_none(tiny: WeightsSuspect, trial) -> None:
    assert agreement(trial.teacher, Material(asked=(("a", "b c d"),))) is None
    assert agreement(tiny, Material()) is None
    assert agreement(tiny, Material(asked=(("a", ""),))) is None
