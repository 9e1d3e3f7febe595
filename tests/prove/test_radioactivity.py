from __future__ import annotations

from collections.abc import Sequence
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

from spiritsafe.errors import InputError, UsageError
from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey, key_of
from spiritsafe.protect.marks.detect import Found, TooFewTokens, decoy_totals, enough, judge
from spiritsafe.protect.marks.registry import mark
from spiritsafe.protect.marks.weighted import judge_weighted
from spiritsafe.protect.prf import Words
from spiritsafe.protect.rehearsal import Chain, numbered
from spiritsafe.prove.radioactivity import (
    EFFECT,
    Asked,
    Weighed,
    Weighing,
    ask,
    foreseen,
    heard,
    residuals,
    score,
    weighed,
)
from spiritsafe.prove.suspect import Reply, Scored
from spiritsafe.teach.types import Chat, Prompt, Sampling

MARK = mark("kgw-k1-g0.25-d2")
KEY: MarkKey = key_of(bytes(range(32)), MARK.name, 1)
WEIGHINGS: tuple[Weighing, ...] = ("once", "counted", "controlled", "foreseen")
ROWS, LENGTH = 800, 200


class Affair:
    """A teacher of English, what it wrote with and without the mark, and what a control wrote."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.teacher = Chain.of(numbered([topics[name] for name in sorted(topics)]))
        self.marked = self.teacher.marked(MARK, KEY).write(ROWS, LENGTH, rng)
        self.clean = self.teacher.write(ROWS, LENGTH, rng)
        self.innocent = Chain.of(self.teacher.write(ROWS, LENGTH, rng))
        self.control = self.innocent.write(250, LENGTH, rng)

    def student(self, share: float) -> Chain:
        count = round(share * ROWS)
        return Chain.of([*self.marked[:count], *self.clean[: ROWS - count]])

    def found(self, text: Sequence[Words], weighing: Weighing, key: MarkKey = KEY, decoys: int = 0) -> Any:
        return score(MARK, key, self.read(text, weighing), subject="student", decoys=decoys)

    def read(self, text: Sequence[Words], weighing: Weighing, control: int = 250) -> Weighed:
        other = self.control[:control] if weighing == "controlled" else None
        chances = self.innocent.chances(text) if weighing == "foreseen" else None
        return weighed(MARK, text, weighing=weighing, control=other, chances=chances)

    def height(self, chain: Chain, weighing: Weighing, seed: int = 1) -> float:
        text = chain.write(250, LENGTH, np.random.default_rng(seed))
        return float(self.found(list(text), weighing).exact.statistic)


@pytest.fixture(scope="module")
def affair() -> Affair:
    return Affair()


@pytest.mark.parametrize("weighing", WEIGHINGS)
def test_a_student_of_marked_answers_is_convicted_and_another_is_not(affair: Affair, weighing: Weighing) -> None:
    rng = np.random.default_rng(1)
    guilty = affair.found(list(affair.student(1.0).write(250, LENGTH, rng)), weighing, decoys=199)
    assert guilty.exact.p_value < 1e-30
    assert guilty.decoys.p_value == 1 / 200
    innocent = affair.found(list(affair.student(0.0).write(250, LENGTH, rng)), weighing, decoys=199)
    assert innocent.exact.p_value > 1e-3
    assert innocent.decoys.p_value >= 1 / 200


@pytest.mark.parametrize("weighing", ["controlled", "foreseen"])
def test_one_tenth_of_the_data_is_enough_with_a_control(affair: Affair, weighing: Weighing) -> None:
    text = list(affair.student(0.1).write(250, LENGTH, np.random.default_rng(2)))
    assert affair.found(text, weighing).exact.p_value < 1e-6


def test_power_rises_with_the_share_and_with_the_text(affair: Affair) -> None:
    by_share = [affair.height(affair.student(share), "controlled") for share in (0.05, 0.2, 1.0)]
    assert by_share == sorted(by_share)
    student, rng = affair.student(0.2), np.random.default_rng(3)
    text = list(student.write(400, LENGTH, rng))
    by_text = [affair.found(text[:n], "controlled").exact.statistic for n in (40, 400)]
    assert by_text[0] < by_text[1]


def test_weighing_finds_what_counting_once_leaves(affair: Affair) -> None:
    once, counted, controlled, foreseen = (affair.height(affair.student(0.2), weighing) for weighing in WEIGHINGS)
    assert once < counted < controlled
    # A chain has one distribution a context, and 50,000 tokens of it: hardly a word is foreseen by its place.
    assert once < foreseen


@pytest.mark.parametrize("weighing", WEIGHINGS)
def test_size_over_keys_on_real_english(affair: Affair, weighing: Weighing) -> None:
    """1,000 keys that marked nothing, on what an innocent student wrote; the benchmark does the same by students."""
    rng, ps = np.random.default_rng(4), []
    for _ in range(4):
        text = list(affair.clean[rng.choice(ROWS, 12, replace=False)])
        read = affair.read(text, weighing, control=60)
        found = Found("size", "innocent", "", read.own, read.met)
        for i in range(250):
            key = key_of(rng.bytes(32), MARK.name, i)
            if weighing == "once":
                ps.append(judge(MARK, key, read.rows, found=found, decoys=0, seed=0).exact.p_value)
            else:
                judged = judge_weighted(MARK, key, read.rows, read.weights, found=found, decoys=0, seed=0)
                ps.append(judged.exact.p_value)
    # Upper 99.9% points of binomial counts of 1,000.
    assert sum(p <= 0.05 for p in ps) <= 73
    assert sum(p <= 0.01 for p in ps) <= 21
    assert sum(p <= 0.001 for p in ps) <= 6


def test_the_same_seed_gives_the_same_result(affair: Affair) -> None:
    text = list(affair.clean[:60])
    first, second = (affair.found(text, "controlled", decoys=50) for _ in range(2))
    assert (first.exact.p_value, first.decoys.p_value) == (second.exact.p_value, second.decoys.p_value)


# --- what a suspect does to get away; the power that remains is the assertion -----------------------------------


def test_mixing_with_clean_data_dilutes(affair: Affair) -> None:
    heights = [affair.height(affair.student(share), "controlled") for share in (1.0, 0.5, 0.1)]
    assert heights[0] > heights[1] > heights[2] > 5


@pytest.mark.parametrize(("share", "least"), [(0.5, 20.0), (0.9, 5.0)])
def test_clean_training_afterwards_leaves_what_it_does_not_overwrite(
    affair: Affair, share: float, least: float
) -> None:
    tuned = affair.student(1.0).blended(Chain.of(list(affair.clean)), share)
    assert affair.height(tuned, "controlled") > least


@pytest.mark.parametrize(("rate", "least"), [(0.1, 30.0), (0.3, 15.0)])
def test_paraphrase_by_replacing_words_breaks_the_pairs_it_touches(affair: Affair, rate: float, least: float) -> None:
    """Each token of the training data is replaced with chance ``rate`` by one drawn from the language at large."""
    rng = np.random.default_rng(5)
    other = rng.permutation(affair.clean.ravel())[: affair.marked.size].reshape(affair.marked.shape)
    paraphrased = np.where(rng.random(affair.marked.shape) < rate, other, affair.marked)
    assert affair.height(Chain.of(list(paraphrased)), "controlled") > least


def test_shuffling_every_sentence_destroys_the_mark(affair: Affair) -> None:
    """A paraphrase that keeps no pair of neighbours keeps no mark: said, not hidden."""
    rng = np.random.default_rng(6)
    shuffled = rng.permuted(affair.marked, axis=1)
    assert abs(affair.height(Chain.of(list(shuffled)), "once")) < 4


def test_dividing_by_a_base_model_s_ratio_weakens_and_does_not_clear(affair: Affair) -> None:
    """The student's probabilities are pulled half way back to those of a clean model of the same kind."""
    student, base = affair.student(1.0), Chain.of(list(affair.clean))
    neutral = student.blended(base, 0.0)
    merged = neutral.blended(base, 0.5)
    pulled = merged.reweighed(np.sqrt(merged.weights))
    before, after = affair.height(student, "controlled"), affair.height(pulled, "controlled")
    assert 5 < after < before


def test_an_innocent_fed_marked_text_by_an_enemy_looks_guilty_which_is_why_exposure_is_not_intent(
    affair: Affair,
) -> None:
    """Spoofing: whoever gets an innocent to train on marked answers, bought or leaked, gets it convicted."""
    framed = Chain.of([*affair.clean, *affair.marked[:200]])
    assert affair.height(framed, "controlled") > 5


def test_guessing_keys_finds_nothing(affair: Affair) -> None:
    """A framer without the key who tries 200 and keeps the best still stands where the best of 200 nulls stands."""
    rng = np.random.default_rng(7)
    text = list(affair.student(1.0).write(250, LENGTH, rng))
    rows = weighed(MARK, text).rows
    totals = decoy_totals(MARK, rows, 200, 8)
    assert (totals.max() - 0.25 * len(rows)) / np.sqrt(len(rows) * 3 / 16) < 4.5


# --- asking ------------------------------------------------------------------------------------------------------


class Suspect:
    """Answers with one text, or refuses."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = replies

    def generate(self, prompts: Sequence[Prompt], sampling: Any) -> list[list[Reply]]:
        return [[self._replies[i % len(self._replies)]] for i in range(len(prompts))]


def reply(text: str, ending: Any = "stop") -> Reply:
    return Reply(text=text, ending=ending)


def test_refusals_and_empty_answers_are_counted_and_not_scored() -> None:
    suspect: Any = Suspect(reply("a text"), reply("", "refused"), reply("  "))
    found = ask(suspect, ["p"] * 6, Sampling(seed=1))
    assert (found.texts, found.refused, found.prompts) == (("a text",) * 2, 4, ("p",) * 2)


def test_assistant_turns_in_prompts_count_as_shown() -> None:
    chat = Chat(({"role": "user", "content": "u"}, {"role": "assistant", "content": "marked"}, {"role": "user"}))
    suspect: Any = Suspect(reply("a text"))
    assert ask(suspect, ["p", chat], Sampling(seed=1)).shown == ("marked",)


def test_a_suspect_that_repeats_itself_says_too_little_for_a_p_value() -> None:
    words = mark("choice-n4-k2")
    asked = Asked(("the same answer again and again " * 50,) * 40, (), 0)
    with pytest.raises(TooFewTokens, match="at least") as caught:
        score(words, KEY, heard(words, asked, None), subject="stuck")
    assert caught.value.need == enough(EFFECT) == 1912


def test_a_suspect_that_only_refuses_gives_no_p_value() -> None:
    words = mark("choice-n4-k2")
    with pytest.raises(TooFewTokens):
        score(words, KEY, heard(words, Asked((), (), 50), None), subject="mute")


def test_the_result_says_how_many_answers_there_were() -> None:
    texts, words = tuple(topics[name] for name in sorted(topics)[:20]), mark("choice-n4-k2")
    found = score(words, KEY, heard(words, Asked(texts, (texts[0],), 3), None), subject="s", decoys=9)
    assert "20 answers, 3 refused or empty" in found.exact.because
    assert any("shown" in line for line in found.exact.because)
    assert found.exact.name == "radioactivity closed once kgw-k1-g0.25-d2@1"


def test_what_it_was_shown_is_not_held_against_it(affair: Affair) -> None:
    quoted, own = list(affair.marked[:60]), list(affair.clean[:120])
    assert score(MARK, KEY, weighed(MARK, [*quoted, *own]), subject="parrot", decoys=0).exact.p_value < 1e-9
    read = weighed(MARK, [*quoted, *own], seen=quoted)
    with pytest.raises(TooFewTokens):
        # With one word of context nearly every context was shown: it says so rather than guess.
        score(MARK, KEY, read, subject="parrot", decoys=0, need=20_000)
    cleared = score(MARK, KEY, read, subject="parrot", decoys=0, need=50)
    assert cleared.exact.p_value > 1e-3


def test_a_mark_of_tokens_needs_the_teacher_s_tokenizer() -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        heard(MARK, Asked(("x",), (), 0), None)


@pytest.mark.parametrize(("weighing", "control"), [("once", [[1, 2]]), ("counted", [[1, 2]]), ("controlled", None)])
def test_a_control_goes_with_its_weighing(weighing: Weighing, control: Any) -> None:
    with pytest.raises(UsageError, match="control"):
        weighed(MARK, [[1, 2, 3]], weighing=weighing, control=control)


@pytest.mark.parametrize(("weighing", "chances"), [("once", [np.ones(3)]), ("foreseen", None)])
def test_chances_go_with_their_weighing(weighing: Weighing, chances: Any) -> None:
    with pytest.raises(UsageError, match="chances"):
        weighed(MARK, [[1, 2, 3]], weighing=weighing, chances=chances)


def test_what_a_control_foresaw_weighs_little() -> None:
    """Each bigram by how often it came less the chances that it had, in the noise of those."""
    read = weighed(
        MARK, [[1, 2, 3], [1, 2], [9]], seen=[[4, 5]], weighing="foreseen",
        chances=[np.array([0.0, 0.5, 1.0]), np.array([0.3, 0.75]), np.array([0.2])],
    )  # fmt: skip
    assert read.rows.tolist() == [[1, 2], [2, 3]]
    np.testing.assert_allclose(read.weights, [0.75 / np.sqrt(2.25), 0.0])
    assert (read.own, read.met) == (2, 3)


class Letters:
    """A tokenizer whose tokens are letters."""

    eos_token_id = None

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        return "".join(map(chr, token_ids))

    def __len__(self) -> int:
        return 128


def test_answers_that_the_control_reads_in_other_tokens_are_left_out_and_said() -> None:
    asked = Asked(("ab", "cde", "fg"), ("cx",), 1, ("p", "p", "p"))
    scored = [Scored((-9.0, 0.0)), Scored((-1.0, -1.0, -1.0)), Scored(())]
    read = foreseen(MARK, asked, Letters(), scored)
    assert read is not None
    assert read.rows.tolist() == [[ord("a"), ord("b")], [ord("d"), ord("e")]]
    np.testing.assert_allclose(read.weights, [0.0, (1 - np.exp(-1)) / np.sqrt(np.exp(-1) + 1)])
    assert read.because[:2] == (
        "3 answers, 1 refused or empty",
        "left out for want of a control that reads them in the mark's tokens: 1 answers",
    )
    assert foreseen(MARK, asked, Letters(), [scored[0], Scored(()), Scored(())]) is None


def test_residuals_compare_shares_within_a_context() -> None:
    mine = np.array([[1, 2], [1, 3], [5, 6]], dtype=np.uint32)
    other = np.array([[1, 2], [1, 4]], dtype=np.uint32)
    rows, weights = residuals(mine, np.array([6.0, 2.0, 3.0]), other, np.array([10.0, 10.0]), floor=1.0)
    assert rows.tolist() == [[1, 2], [1, 3], [1, 4], [5, 6]]
    # Of 8 after the context 1 the control would have put 4 on 2 and 4 on 4; the context 5 it never met.
    np.testing.assert_allclose(weights, [2 / np.sqrt(5), 2.0, -4 / np.sqrt(5), 3.0])


def test_scores_are_those_of_the_lanes(affair: Affair) -> None:
    found = affair.found(list(affair.clean[:60]), "once").exact
    rows = np.unique(np.concatenate([np.column_stack([r[:-1], r[1:]]) for r in affair.clean[:60]]), axis=0)
    total = MARK.score(prf.lanes(KEY.sip, rows, MARK.bits)).sum()
    assert found.n == len(rows)
    assert found.statistic == pytest.approx((total - 0.25 * len(rows)) / np.sqrt(len(rows) * 3 / 16))
