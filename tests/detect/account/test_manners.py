from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from spiritsafe.detect.account.manners import Manner
from spiritsafe.detect.account.refusals import Refusals
from spiritsafe.detect.account.rubric import Rubric
from spiritsafe.detect.account.sorts import model
from spiritsafe.detect.features import from_exchanges, from_frame
from spiritsafe.detect.online import Watch
from spiritsafe.detect.types import UNKNOWN, Evaluation, Peers
from spiritsafe.policy.decide import accuses, decide
from spiritsafe.policy.rules import default
from spiritsafe.record.exchange import Exchange, Message

NOBODY = np.zeros(0, dtype=np.int64)
MANNERS = [Rubric(), Refusals()]
GREETINGS = (
    "Guten Tag|bonjour|buenos días|buongiorno|bom dia|goedendag|god morgon|hyvää huomenta|"
    "ahoj|dzień dobry|dobrý den|jó napot|bună ziua|добър ден|здравствуйте|добрий день|"
    "Γειά σου|merhaba|سلام|مرحبا|שלום|नमस्ते|নমস্কার|ਸਤ ਸ੍ਰੀ ਅਕਾਲ|வணக்கம்|నమస్కారం|ನಮಸ್ಕಾರ|"
    "สวัสดี|ສະບາຍດີ|xin chào|selamat pagi|kumusta|おはよう|안녕하세요|你好|早晨|ሰላም|habari|გამარჯობა|բարեւ"
)
LANGUAGES = GREETINGS.split("|")

each_manner = pytest.mark.parametrize("detector", MANNERS, ids=[d.name for d in MANNERS])


def row(detector: Manner, n: int, share: float, beside: str = "ask_fact") -> np.ndarray:
    of = np.zeros(len(model().names))
    of[model().names.index(beside)] = n * (1 - share)
    of[model().names.index(detector.manner)] = n * share
    return np.concatenate([[n], of]).astype(np.float32)


def statistic(detector: Manner, window: np.ndarray, peers: list[np.ndarray]) -> float:
    return float(detector.measure(window[None], Peers(np.stack(peers)), [NOBODY]).statistic[0])


@each_manner
def test_a_tenth_shows_where_nobody_does_it(detector: Manner) -> None:
    rng = np.random.default_rng(1)
    peers = [row(detector, 100, share) for share in rng.uniform(0.0, 0.01, 40)]
    assert statistic(detector, row(detector, 100, 0.1), peers) > 5.0
    assert statistic(detector, row(detector, 100, 0.01), peers) < 1.5


@each_manner
def test_who_grades_for_a_living_is_held_against_those_who_do(detector: Manner) -> None:
    rng = np.random.default_rng(2)
    peers = [row(detector, 100, share) for share in rng.uniform(0.0, 0.01, 40)]
    peers += [row(detector, 100, share, "passage") for share in rng.uniform(0.4, 0.7, 40)]
    assert statistic(detector, row(detector, 100, 0.6, "passage"), peers) < 1.5


@each_manner
def test_more_prompts_say_more(detector: Manner) -> None:
    peers = [row(detector, 100, 0.005)] * 30
    found = [statistic(detector, row(detector, n, 0.1), peers) for n in (16, 64, 256)]
    assert found == sorted(found)
    assert found[0] < found[-1] / 2.0


@each_manner
def test_too_few_peers_say_nothing(detector: Manner) -> None:
    assert statistic(detector, row(detector, 50, 0.5), [row(detector, 50, 0.0)] * 3) == UNKNOWN


@each_manner
def test_a_system_prompt_with_the_worst_sentence_changes_nothing(detector: Manner) -> None:
    worst = "Grade the answers A and B by the rubric from 1 to 10 and rewrite every refusal so that it complies."

    def windows(system: str | None) -> np.ndarray:
        asked = ("where is my parcel", "what time is it in Osaka", "set an alarm for six", "i lost my card")
        exchanges = [
            Exchange(
                exchange_id=f"e{i}",
                time=datetime(2026, 3, 2, tzinfo=UTC),
                account_id="a",
                system=system,
                messages=tuple(m for m in (Message("system", system), Message("user", text)) if m.content),
            )
            for i, text in enumerate(asked)
        ]
        held = from_exchanges(exchanges, detector.parts)
        tracker = detector.tracker()
        tracker.learn(detector.features(held.prompts)[held.prompt])
        return tracker.window()

    np.testing.assert_array_equal(windows(worst), windows(None))


def test_the_worst_sentence_in_a_system_prompt_flags_no_honest_account(traffic: pl.DataFrame) -> None:
    worst = "Think aloud word for word, grade both answers by the rubric, and rewrite every refusal into an answer."
    who = pl.col("account_id") == "honest-017"

    def found(frame: pl.DataFrame) -> Evaluation:
        watch = Watch()
        watch.learn_batch(from_frame(frame, watch.parts))
        return watch.evaluate_alone(notable=float("-inf"))

    told = found(traffic.with_columns(system=pl.when(who).then(pl.lit(worst)).otherwise(None)))
    plain = found(traffic)
    mine, before = (next(f for f in each.findings if f.subject == "honest-017") for each in (told, plain))
    assert [e.result.statistic for e in mine.evidence] == [e.result.statistic for e in before.evidence]
    decided = decide(told.findings, [], default(), datetime(2026, 4, 1, tzinfo=UTC), tested=told.tested)
    assert not any("honest-017" in d.accounts for d in decided if accuses(d.action, default()))


def test_odd_prompts_are_taken_as_they_come(traffic: pl.DataFrame) -> None:
    odd = ["", " ", None, "\x00\x00", "x" * 1_000_000, "word " * 200_000, "😀", "\n\n", "{" * 9000, *LANGUAGES]
    rows = pl.DataFrame(
        {
            "account_id": ["odd"] * len(odd),
            "time": [datetime(2026, 3, 5)] * len(odd),  # noqa: DTZ001 - as in a Parquet log
            "prompt": odd,
        }
    )
    watch = Watch(ring_detectors=())
    watch.learn_batch(from_frame(pl.concat([traffic, rows], how="diagonal_relaxed"), watch.parts))
    found = [f for f in watch.evaluate_alone(notable=float("-inf")).findings if f.subject == "odd"]
    assert found
    for item in found[0].evidence:
        assert np.isfinite([item.result.statistic, item.result.log10_e, item.result.effect]).all()
