from __future__ import annotations

import functools
import queue
import threading
from typing import Any

import pytest
import torch

from spiritsafe.errors import ResourceError
from spiritsafe.teach.detokenize import pieces
from spiritsafe.teach.draw import Draw
from spiritsafe.teach.engine import Engine
from spiritsafe.teach.kv import ATTENTION
from spiritsafe.teach.types import Context, Delta, Options, Sampling

GREEDY = Sampling(temperature=0, max_tokens=24)


def options(**changes: Any) -> Options:
    return Options(**({"threads": 1, "batch": 4, "device": "cpu", "dtype": "float32"} | changes))


class Asked:
    """Draws submitted together, and what came of each."""

    def __init__(self, engine: Engine, tokenizer: Any, prompt: list[int], sampling: Sampling, processors=()) -> None:
        self.events: queue.SimpleQueue[Delta | BaseException] = queue.SimpleQueue()
        self.draws = [
            Draw(
                prompt,
                sampling,
                choice,
                limit=sampling.max_tokens or 100,
                ends=frozenset({0}),
                pieces=pieces(tokenizer),
                sink=self.events.put,
                processors=processors,
            )
            for choice in range(sampling.n)
        ]
        engine.submit(self.draws)

    def ids(self) -> list[list[int]]:
        open_draws = len(self.draws)
        while open_draws:
            event = self.events.get(timeout=200)
            if isinstance(event, BaseException):
                raise event
            open_draws -= event.finish is not None
        return [draw.generated for draw in self.draws]


@pytest.fixture
def start(plain):
    from transformers import AutoModelForCausalLM

    from spiritsafe.teach.kv import register_attention

    register_attention()
    engines = []

    def make(**changes: Any) -> Engine:
        model = AutoModelForCausalLM.from_pretrained(
            plain.config._name_or_path, dtype=torch.float32, attn_implementation=ATTENTION
        )
        engines.append(Engine(model, options(**changes), threads=1))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture(scope="module")
def reference(plain):
    """What transformers draws greedily after a prompt."""

    @functools.cache
    def drawn(*prompt: int) -> list[int]:
        ids = torch.tensor([prompt])
        out = plain.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        return out[0, len(prompt) :].tolist()

    return drawn


def prompts(count: int, tokenizer) -> list[list[int]]:
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 70, (count,), generator=generator).tolist()
    return [torch.randint(5, len(tokenizer), (length,), generator=generator).tolist() for length in lengths]


def test_greedy_equals_generate_of_transformers(start, reference, tokenizer) -> None:
    engine = start()
    for prompt in prompts(6, tokenizer):
        assert Asked(engine, tokenizer, prompt, GREEDY).ids() == [reference(*prompt)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"batch": 1},
        {"batch": 32},
        {"prefill_tokens": 7},
        {"kv_tokens": 200},
        {"kv_tokens": 90, "prefill_tokens": 16},
    ],
    ids=str,
)
def test_neighbours_change_nothing(start, reference, tokenizer, changes) -> None:
    engine = start(**changes)
    asked = [(prompt, Asked(engine, tokenizer, prompt, GREEDY)) for prompt in prompts(9, tokenizer)]
    for prompt, each in asked:
        assert each.ids() == [reference(*prompt)]


def test_a_seed_fixes_the_draw_whoever_the_neighbours_are(start, tokenizer) -> None:
    engine = start()
    sampling = Sampling(temperature=0.9, top_p=0.95, max_tokens=30, seed=11, n=3)
    prompt, *others = prompts(8, tokenizer)
    alone = Asked(engine, tokenizer, prompt, sampling).ids()
    noise = [Asked(engine, tokenizer, other, Sampling(max_tokens=20, seed=1)) for other in others[:4]]
    among = Asked(engine, tokenizer, prompt, sampling)
    noise += [Asked(engine, tokenizer, other, Sampling(max_tokens=20, seed=1)) for other in others[4:]]
    assert among.ids() == alone
    assert len({tuple(ids) for ids in alone}) == 3
    for each in noise:
        each.ids()


def test_choices_of_one_prompt_feed_it_once_and_equal_those_asked_singly(start, tokenizer) -> None:
    engine = start(batch=3)
    prompt = prompts(1, tokenizer)[0] * 3
    sampling = Sampling(temperature=1, max_tokens=5, seed=5, n=5)
    together = Asked(engine, tokenizer, prompt, sampling).ids()
    assert len(together) == 5
    wide = start(batch=8)
    before = wide.forwards
    assert Asked(wide, tokenizer, prompt, sampling).ids() == together
    assert wide.forwards - before <= 5


def test_requests_join_a_running_batch(start, tokenizer) -> None:
    engine = start(batch=8)
    long = Sampling(temperature=1, max_tokens=60, seed=1)
    first = Asked(engine, tokenizer, [9, 8, 7], long)
    first.events.get(timeout=200)
    others = [Asked(engine, tokenizer, [9, 8, seed + 6], long) for seed in range(5)]
    drawn = sum(len(each.ids()[0]) for each in (first, *others))
    assert engine.forwards < drawn / 2


def test_cancel_ends_a_draw_and_spares_the_others(start, tokenizer) -> None:
    engine = start()
    never_ending = Sampling(temperature=0, max_tokens=400)
    keep = Asked(engine, tokenizer, [9, 8, 7], GREEDY)
    gone = Asked(engine, tokenizer, [6, 7], never_ending, processors=(NoEnd(),))
    gone.events.get(timeout=200)
    gone.draws[0].cancelled = True
    assert len(gone.ids()[0]) < 400
    assert keep.ids()[0]


class NoEnd:
    stage = "logits"

    def __call__(self, logits, context):
        logits[0] = float("-inf")
        return logits


class Broken:
    stage = "warped"

    def __call__(self, logits, context: Context):
        if len(context.generated) == 3:
            raise ZeroDivisionError("a mark with a bug")
        return logits


def test_a_processor_that_raises_ends_its_own_draw_only(start, tokenizer) -> None:
    engine = start()
    good = Asked(engine, tokenizer, [9, 8, 7], GREEDY)
    bad = Asked(engine, tokenizer, [9, 8, 6], Sampling(max_tokens=50, seed=2), processors=(NoEnd(), Broken()))
    with pytest.raises(ZeroDivisionError):
        bad.ids()
    assert good.ids() == Asked(engine, tokenizer, [9, 8, 7], GREEDY).ids()


def test_processors_see_prompt_and_tokens_so_far(start, tokenizer) -> None:
    engine = start()
    seen: list[tuple[list[int], list[int]]] = []

    class Spy:
        stage = "warped"

        def __call__(self, logits, context: Context):
            seen.append((list(context.prompt), list(context.generated)))
            return logits

    ids = Asked(engine, tokenizer, [9, 8, 7], GREEDY, processors=(Spy(),)).ids()[0]
    assert seen == [([9, 8, 7], ids[:count]) for count in range(len(ids))]


def test_a_step_that_fails_ends_its_rows_and_the_engine_goes_on(start, tokenizer) -> None:
    engine = start()
    out_of_vocabulary = Asked(engine, tokenizer, [10**6], GREEDY)
    with pytest.raises(IndexError):
        out_of_vocabulary.ids()
    assert Asked(engine, tokenizer, [9, 8, 7], GREEDY).ids()


def test_a_short_prompt_passes_a_long_one_that_is_still_being_fed(start, reference, tokenizer) -> None:
    engine = start(prefill_tokens=8)
    blocker = Asked(engine, tokenizer, list(range(5, 105)), GREEDY)
    short = Asked(engine, tokenizer, [9], GREEDY)
    assert short.ids() == [reference(9)]
    assert blocker.ids() == [reference(*range(5, 105))]


def test_when_the_batch_itself_fails_everyone_hears_of_it_and_the_engine_goes_on(start, tokenizer, monkeypatch) -> None:
    engine = start()

    def no_memory(rows: int, columns: int) -> None:
        raise RuntimeError("can't allocate memory")

    with monkeypatch.context() as patch:
        patch.setattr(engine._slots, "reserve", no_memory)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="allocate"):
                Asked(engine, tokenizer, [9, 8], GREEDY).ids()
    assert Asked(engine, tokenizer, [9, 8], GREEDY).ids()


def test_call_runs_between_steps_and_hands_back_errors(start) -> None:
    engine = start()
    assert engine.call(lambda: threading.current_thread().name).result(60) == "spiritsafe-teacher"
    with pytest.raises(ZeroDivisionError):
        engine.call(lambda: 1 // 0).result(60)


def test_close_cancels_what_is_under_way_and_refuses_more(start, tokenizer) -> None:
    engine = start(batch=1)
    asked = [Asked(engine, tokenizer, [6, 7], Sampling(temperature=0, max_tokens=10**6), (NoEnd(),)) for _ in range(2)]
    asked[0].events.get(timeout=200)
    engine.close()
    for each in asked:
        events = []
        while not each.events.empty():
            events.append(each.events.get())
        assert events[-1].finish == "cancelled"
    with pytest.raises(ResourceError, match="closed"):
        engine.call(lambda: None)
