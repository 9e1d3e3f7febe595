from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from spiritsafe.detect.account import ACCOUNT_DETECTORS
from spiritsafe.detect.calibrate import reference_of
from spiritsafe.detect.calls import PARAMS
from spiritsafe.detect.features import Batch
from spiritsafe.detect.online import Watch
from spiritsafe.detect.reference import Reference
from spiritsafe.detect.types import Basis, Evaluation, Finding, Link, LinkTable, Ring
from spiritsafe.detect.wealth import log10_wealth
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.stats.evalues import average, partial_conjunction
from spiritsafe.stats.result import JOINTLY, Conformal

MADE = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 86_400.0
TONGUES = (
    "Wie spät ist es? | ¿Qué hora es? | Quelle heure est-il ? | Che ore sono? | Que horas são? | "
    "Hoe laat is het? | Vad är klockan? | Która godzina? | Saat kaç? | Который час? | Котра година? | "
    "Колко е часът? | Колико је сати? | Koliko je sati? | Kolik je hodin? | Koľko je hodín? | "
    "Hány óra van? | Cât e ceasul? | Τι ώρα είναι; | Paljonko kello on? | Mis kell on? | "
    "Cik ir pulkstenis? | Kiek valandų? | Hvað er klukkan? | Hva er klokka? | Hvad er klokken? | "
    "Cén t-am é? | كم الساعة؟ | מה השעה? | ساعت چند است؟ | کیا وقت ہوا ہے؟ | क्या बजा है? | "
    "কয়টা বাজে? | நேரம் என்ன? | సమయం ఎంత? | กี่โมงแล้ว | Mấy giờ rồi? | Jam berapa? | 几点了？ | 何時ですか？ | "
    "몇 시예요? | რომელი საათია? | Saa ngapi?"
)


def parts(batch: Batch, n: int) -> list[Batch]:
    """The batch in n pieces, one after the other."""
    cuts = np.array_split(np.arange(len(batch)), n)
    names = ("owner", "seconds", "prompt", "shared", "model", "params")
    return [Batch(**{**batch.__dict__, **{name: getattr(batch, name)[cut] for name in names}}) for cut in cuts]


def wealth(finding: Finding) -> float:
    families = {item.family for item in finding.evidence}
    each = [average([i.result.log10_e for i in finding.evidence if i.family == name]) for name in families]
    return partial_conjunction(each)


def family(finding: Finding, name: str) -> float:
    return average([item.result.log10_e for item in finding.evidence if item.family == name])


def of(evaluation: Evaluation, subject: str) -> Finding:
    return next(f for f in evaluation.findings if f.subject == subject)


def rings_of(evaluation: Evaluation) -> list[Finding]:
    return [f for f in evaluation.findings if f.subject_kind == "ring"]


@pytest.fixture(scope="module")
def reference(honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]) -> Reference:
    watch = Watch(collect=True)
    watch.learn_batch(batch_of(honest(400, seed=1), seed=1))
    return reference_of(watch, made=MADE, source="test")


@pytest.fixture
def ring(actor: type[Any], centres: Callable[..., np.ndarray]) -> Callable[..., list[Any]]:
    """Members that ask for something of their own, in words that elicit, all on one card and one network."""

    def make(members: int, n: int = 80, **shares: str) -> list[Any]:
        centre = centres(1, 77)[0]
        held = shares or {"payment": "ring", "ip_prefix": "ring", "client": "sdk-1"}
        return [actor(f"ring-{i}", centre, n, dict(held), 0.8) for i in range(members)]

    return make


def test_without_a_reference_it_observes_and_says_so(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = Watch()
    watch.learn_batch(batch_of(honest(30)))
    found = watch.evaluate()
    assert found.findings == ()
    assert "no reference" in found.because[0]


def test_a_ring_stands_out_and_the_honest_do_not(
    reference: Reference,
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    watch = Watch(reference)
    watch.learn_batch(batch_of([*ring(24), *honest(100, seed=5)], seed=2))
    found = watch.evaluate(notable=-9.0)
    caught = max(rings_of(found), key=wealth)
    assert set(caught.accounts) == set(caught.accused) == {f"ring-{i}" for i in range(24)}
    assert wealth(caught) > 4.0
    assert {link.kind for link in caught.links} == {"payment", "place"}
    others = [f for f in found.findings if not f.subject.startswith(("ring-",))]
    assert max(wealth(f) for f in others) < 2.0
    assert found.tested >= len(others)


def test_evidence_rises_with_what_is_asked(
    reference: Reference, ring: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    batch = batch_of(ring(12, 200), seed=3)
    watch = Watch(reference)
    seen = []
    for part in parts(batch, 6):
        watch.learn_batch(part)
        seen.append(max((wealth(f) for f in rings_of(watch.evaluate(notable=-9.0))), default=-9.0))
    assert seen == sorted(seen)
    assert seen[-1] > 1.7


def test_looking_often_changes_nothing(
    reference: Reference,
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    batch = batch_of([*ring(6), *honest(20, seed=6)], seed=4)
    rarely, often = Watch(reference), Watch(reference)
    for part in parts(batch, 8):
        rarely.learn_batch(part)
        often.learn_batch(part)
        often.evaluate()
        assert often.evaluate() == often.evaluate()
    once, again = rarely.evaluate(notable=-9.0), often.evaluate(notable=-9.0)
    assert [f.subject for f in once.findings] == [f.subject for f in again.findings]
    for left, right in zip(once.findings, again.findings, strict=True):
        assert wealth(left) == pytest.approx(wealth(right), abs=1e-6)
        for one, two in zip(left.evidence, right.evidence, strict=True):
            assert one.result.statistic == pytest.approx(two.result.statistic, abs=1e-5)
            assert one.result.p_value == two.result.p_value


def test_no_honest_account_crosses_more_often_than_promised_whenever_one_looks(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    # The e-value of an account at any time is at most the one at the end, whose mean is at most 1.
    crossed, total, worth = 0, 0, []
    for run in range(5):
        held = Watch(collect=True)
        held.learn_batch(batch_of(honest(160, seed=100 + run), seed=run))
        watch = Watch(reference_of(held, made=MADE, source="x"))
        highest: dict[tuple[str, str], float] = {}
        for part in parts(batch_of(honest(100, seed=200 + run), seed=50 + run), 5):
            watch.learn_batch(part)
            for finding in watch.evaluate(notable=-9.0).findings:
                for item in finding.evidence:
                    key = (finding.subject, item.result.name)
                    highest[key] = max(highest.get(key, -9.0), item.result.log10_e)
        crossed += sum(value >= 1.0 for value in highest.values())
        total += len(highest)
        worth += [10.0**value for value in highest.values()]
    assert total > 700
    assert crossed / total <= 0.1
    assert np.mean(worth) < 1.3


def test_a_narrow_bot_alone_has_evidence_from_one_family_only(
    reference: Reference, actor: type[Any], centres: Callable[..., np.ndarray], batch_of: Callable[..., Batch]
) -> None:
    bot = actor("bot", centres(1, 55)[0], 300, {"payment": "bot"}, 0.0)
    watch = Watch(reference)
    watch.learn_batch(batch_of([bot]))
    found = of(watch.evaluate(notable=-9.0), "bot")
    assert family(found, "asked") > 1.0
    assert wealth(found) < 1.0


def test_a_shared_office_network_alone_is_nothing(
    reference: Reference, honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    office = honest(40, seed=8, prefix="office")
    for each in office:
        each.shares["ip_prefix"] = "office"
    watch = Watch(reference)
    watch.learn_batch(batch_of(office, seed=9))
    found = rings_of(watch.evaluate(notable=-99.0))
    assert [len(f.accounts) for f in found] == [len(office)]
    assert all(wealth(f) < 1.0 for f in found)


def test_a_sentence_in_a_system_prompt_changes_no_phrasing(
    reference: Reference,
) -> None:
    def exchanges(system: str | None) -> list[Exchange]:
        topics = ["lakes", "cats", "tax", "jazz", "bread", "chess"]
        return [
            Exchange(
                exchange_id=str(i),
                time=MADE + timedelta(minutes=i),
                account_id="a",
                system=system,
                messages=(Message("user", f"tell me about {topics[i % 6]} and {chr(97 + i)}{topics[i // 6]}"),),
            )
            for i in range(30)
        ]

    plain, told = Watch(reference), Watch(reference)
    plain.learn(exchanges(None))
    told.learn(exchanges("You are an expert. Think step by step and show all of your reasoning."))
    assert plain.evaluate(notable=-9.0).findings == told.evaluate(notable=-9.0).findings


def test_exchanges_under_a_grant_are_never_looked_at(reference: Reference) -> None:
    watch = Watch(reference)
    held = Exchange(exchange_id="1", time=MADE, account_id="a", grant_id="g", messages=(Message("user", "hi there"),))
    watch.learn([held])
    assert watch.tenants == {}


def test_granted_accounts_are_in_no_finding(
    reference: Reference, ring: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = Watch(reference)
    watch.learn_batch(batch_of(ring(12)))
    granted = frozenset({"ring-0", "ring-5"})
    found = watch.evaluate(granted=granted, notable=-9.0)
    assert not granted & {name for f in found.findings for name in (*f.accounts, *f.accused)}
    assert max(len(f.accounts) for f in found.findings) == 10


def test_bystanders_on_the_same_network_are_not_accused(
    reference: Reference,
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    strangers = honest(6, seed=12, prefix="stranger")
    for each in strangers:
        each.shares.update({"payment": "ring", "ip_prefix": "ring"})
    watch = Watch(reference)
    watch.learn_batch(batch_of([*ring(20), *strangers]))
    caught = max(rings_of(watch.evaluate(notable=-9.0)), key=wealth)
    assert {f"ring-{i}" for i in range(20)} <= set(caught.accused)
    assert len(set(caught.accused) & {s.name for s in strangers}) <= 2


def test_an_account_that_turns_is_seen_in_its_next_block(
    reference: Reference, actor: type[Any], centres: Callable[..., np.ndarray], batch_of: Callable[..., Batch]
) -> None:
    before = actor("turns", centres(6, 7)[0], 300, {}, 0.0)
    after = actor("turns", centres(1, 77)[0], 400, {}, 0.9)
    watch = Watch(reference)
    watch.learn_batch(batch_of([before], seed=1))
    start = wealth(of(watch.evaluate(notable=-9.0), "turns"))
    watch.learn_batch(batch_of([after], seed=2))
    assert start < 0.6
    assert wealth(of(watch.evaluate(notable=-9.0), "turns")) > start + 0.3


def test_a_new_period_starts_afresh(
    reference: Reference, ring: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = Watch(reference)
    watch.learn_batch(batch_of(ring(1, 100), seed=1))
    assert watch.evaluate(notable=-9.0).findings
    later = batch_of(ring(1, 8), seed=2, start=1.8e9 + 3 * reference.horizon)
    watch.learn_batch(later)
    assert watch.evaluate(notable=-9.0).findings == ()


def test_a_snapshot_goes_on_where_it_stopped(
    reference: Reference,
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    pieces = parts(batch_of([*ring(6), *honest(20, seed=6)], seed=4), 2)
    watch = Watch(reference)
    watch.learn_batch(pieces[0])
    again = Watch(reference)
    again.restore(watch.snapshot())
    for each in (watch, again):
        each.learn_batch(pieces[1])
    assert again.evaluate(notable=-9.0) == watch.evaluate(notable=-9.0)
    assert again.snapshot() == watch.snapshot()


def test_a_snapshot_of_other_detectors_or_a_damaged_one_is_refused(reference: Reference) -> None:
    watch = Watch(reference)
    with pytest.raises(InputError, match="damaged"):
        watch.restore(b"\x00nonsense")
    other = msgspec.msgpack.encode({"version": 1, "detectors": ["x/1"], "tenants": []})
    with pytest.raises(InputError, match="made by detectors x/1"):
        watch.restore(other)


def test_alone_a_log_finds_its_ring(
    ring: Callable[..., list[Any]], honest: Callable[..., list[Any]], batch_of: Callable[..., Batch]
) -> None:
    watch = Watch()
    watch.learn_batch(batch_of([*ring(40), *honest(300, seed=5)], seed=2))
    found = watch.evaluate_alone(notable=-9.0)
    caught = max(rings_of(found), key=wealth)
    assert len(caught.accused) == 40
    assert wealth(caught) > 4.0
    others = [f for f in found.findings if not f.subject.startswith("ring-")]
    assert max(wealth(f) for f in others) < 2.0


def changed(batch: Batch, **columns: np.ndarray) -> Batch:
    return Batch(**{**batch.__dict__, **columns})


def nothing_known(batch: Batch) -> list[Batch]:
    """Every column null that may be: no time, no card, network, program or system prompt."""
    return [changed(batch, seconds=np.full(len(batch), np.nan), shared=np.zeros_like(batch.shared))]


def clocks_wrong(batch: Batch) -> list[Batch]:
    """One exchange in seven without a time, one in eleven in 1970, one in thirteen years ahead."""
    seconds = batch.seconds.copy()
    seconds[::7], seconds[::11], seconds[::13] = np.nan, 0.0, 4e9
    return [changed(batch, seconds=seconds)]


def out_of_order_and_twice(batch: Batch) -> list[Batch]:
    order = np.random.default_rng(1).permutation(len(batch))
    names = ("owner", "seconds", "prompt", "shared", "model", "params")
    mixed = changed(batch, **{name: getattr(batch, name)[order] for name in names})
    return [*parts(mixed, 5), batch]


def half_the_prompts_empty(batch: Batch) -> list[Batch]:
    prompt = batch.prompt.copy()
    prompt[::2] = -1
    return [changed(batch, prompt=prompt)]


def untouched(batch: Batch) -> list[Batch]:
    return [batch]


@pytest.mark.parametrize(
    ("disturb", "least"),
    [
        # How many orders of magnitude of evidence are left of what an undisturbed log gives (about 5).
        (untouched, 4.0),
        (clocks_wrong, 4.0),
        (out_of_order_and_twice, 4.0),
        (half_the_prompts_empty, 3.0),
        (nothing_known, -9.0),
    ],
)
def test_bad_input_costs_evidence_and_accuses_nobody(
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
    disturb: Callable[[Batch], list[Batch]],
    least: float,
) -> None:
    watch = Watch()
    for part in disturb(batch_of([*ring(40), *honest(300, seed=5)], seed=2)):
        watch.learn_batch(part)
    found = watch.evaluate_alone(notable=-9.0)
    caught = max((wealth(f) for f in rings_of(found)), default=-9.0)
    assert caught >= least
    assert max(wealth(f) for f in found.findings if not f.subject.startswith("ring-")) < 2.0
    assert len(watch.tenants) == 340


def test_a_tenant_that_is_most_of_all_traffic_hides_no_ring_and_is_not_accused(
    actor: type[Any],
    centres: Callable[..., np.ndarray],
    ring: Callable[..., list[Any]],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    others = [*ring(40), *honest(300, seed=5)]
    giant = actor("giant", centres(6, 7)[0], 2 * sum(each.n for each in others), {"payment": "giant"}, 0.02)
    watch = Watch()
    watch.learn_batch(batch_of([*others, giant], seed=2))
    found = watch.evaluate_alone(notable=-9.0)
    assert max(wealth(f) for f in rings_of(found)) > 4.0
    assert wealth(of(found, "giant")) < 1.0


def test_an_account_with_one_exchange_is_counted_and_nothing_is_said_of_it(
    actor: type[Any],
    centres: Callable[..., np.ndarray],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
) -> None:
    watch = Watch()
    watch.learn_batch(batch_of([actor("once", centres(1, 9)[0], 1), *honest(60, seed=5)], seed=2))
    found = watch.evaluate_alone(notable=-9.0)
    assert "once" not in {f.subject for f in found.findings}
    assert found.tested >= 61


def test_texts_of_every_kind_are_read() -> None:
    tongues = TONGUES.split(" | ")
    odd = ["", " ", "\x00", "\ud800", "\udfff \ud800", "x" * 1_000_000, "word " * 200_000, "😀" * 50, "0", "\u202eabc"]
    watch = Watch()
    for account in ("a", "b", "c"):
        held = [
            Exchange(exchange_id=f"{account}{i}", time=MADE, account_id=account, messages=(Message("user", text),))
            for i, text in enumerate([*tongues, *odd])
        ]
        watch.learn(held)
    assert watch.tenants["a"].exchanges == len(tongues) + len(odd)
    found = watch.evaluate_alone(notable=-9.0)
    assert all(np.isfinite(e.result.statistic) for f in found.findings for e in f.evidence)


def test_no_accounts_no_findings(reference: Reference) -> None:
    watch = Watch(reference)
    watch.learn([])
    assert watch.evaluate().findings == ()
    assert watch.evaluate().tested == 0
    assert Watch().evaluate_alone().findings == ()


def test_in_a_very_large_log_accounts_are_compared_with_some_of_the_others(
    honest: Callable[..., list[Any]], batch_of: Callable[..., Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    watch.learn_batch(batch_of(honest(150)))
    whole = watch.evaluate_alone(notable=float("-inf"))
    monkeypatch.setattr("spiritsafe.detect.peers.MOST_ALONE", 60)
    some = watch.evaluate_alone(notable=float("-inf"))
    assert some.tested == whole.tested
    assert some != whole
    monkeypatch.setattr("spiritsafe.detect.peers.MOST_ALONE", 150)
    assert watch.evaluate_alone(notable=float("-inf")) == whole


OF_CALLS = {JOINTLY, *(detector.name for detector in ACCOUNT_DETECTORS if detector.sees == "calls")}


def drawing(batch: Batch, names: Sequence[str], seed: int, everyone: bool = False) -> Batch:
    """The batch with columns of how answers were drawn: one account in six draws several, one in eight logprobs."""
    rng = np.random.default_rng(seed)
    habits = {name: (rng.random() < 1 / 6 or everyone, rng.random() < 1 / 8 or everyone) for name in names}
    params = np.full((len(batch), len(PARAMS)), np.nan, dtype=np.float32)
    own = np.array([habits[batch.accounts[owner]] for owner in batch.owner])
    params[:, PARAMS.index("n")] = np.where(own[:, 0] & (rng.random(len(batch)) < 0.9), 4.0, 1.0)
    params[:, PARAMS.index("logprobs")] = np.where(own[:, 1] & (rng.random(len(batch)) < 0.9), 5.0, 0.0)
    params[:, PARAMS.index("completion_tokens")] = rng.lognormal(5.0, 1.0, len(batch))
    return changed(batch, params=params)


def highest_mean(sizes: Sequence[tuple[int, int]]) -> float:
    """The highest of 4,999 mean e-values if all are exchangeable: ``sizes`` are those of references, and how many were
    ranked in each. An honest mean is higher once in 5,000 times; ties only lower it.
    """
    rng = np.random.default_rng(0)
    total = np.zeros(4_999)
    for n, ranked in sizes:
        held, mine = np.sort(rng.random((len(total), n)), axis=1), rng.random((len(total), ranked))
        for row in range(len(total)):
            as_high = n - np.searchsorted(held[row], mine[row])
            total[row] += (10.0 ** log10_wealth((1.0 + as_high) / (n + 1.0), n)).sum()
    return float(total.max()) / sum(ranked for _, ranked in sizes)


def test_honest_accounts_win_nothing_on_average_by_any_detector_nor_by_all_jointly(
    honest: Callable[..., list[Any]],
    actor: type[Any],
    centres: Callable[..., np.ndarray],
    batch_of: Callable[..., Batch],
) -> None:
    worth: dict[str, list[list[float]]] = {}
    sizes: dict[str, list[tuple[int, int]]] = {}
    for run in range(3):
        known, fresh = honest(240, seed=300 + run), honest(150, seed=400 + run)
        watch = Watch(collect=True)
        watch.learn_batch(drawing(batch_of(known, seed=run), [a.name for a in known], run))
        watch = Watch(reference_of(watch, made=MADE, source="x"), ring_detectors=())
        watch.learn_batch(drawing(batch_of(fresh, seed=60 + run), [a.name for a in fresh], 70 + run))
        found = [item.result for each in watch.evaluate(notable=-9.0).findings for item in each.evidence]
        for name in {result.name for result in found}:
            mine = [result for result in found if result.name == name]
            assert isinstance(mine[0].method, Conformal)
            worth.setdefault(name, []).append([10.0**result.log10_e for result in mine])
            sizes.setdefault(name, []).append((mine[0].method.n, len(mine)))
    assert set(worth) == {JOINTLY, *(detector.name for detector in ACCOUNT_DETECTORS)}
    bounds = {held: highest_mean(held) for held in set(map(tuple, sizes.values()))}
    mean = {name: float(np.mean(np.concatenate(each))) for name, each in worth.items()}
    assert all(value <= bounds[tuple(sizes[name])] for name, value in mean.items()), (mean, sizes, bounds)
    lone = [actor(f"lone-{i}", centres(40, 77)[i], 200, {"payment": f"lone-{i}"}, 0.0) for i in range(5)]
    watch.learn_batch(drawing(batch_of(lone, seed=9), [a.name for a in lone], 9, everyone=True))
    for finding in watch.evaluate(notable=-9.0).findings:
        if finding.subject.startswith("lone-"):
            assert {item.family: item.result.log10_e for item in finding.evidence}[JOINTLY] > 0.0


def test_nothing_known_of_calls_is_no_evidence(
    reference: Reference, batch_of: Callable[..., Batch], actor: Any
) -> None:
    batch = batch_of([actor("a", np.eye(256)[0], 200, {}, 0.0)])
    watch = Watch(reference)
    watch.learn_batch(changed(batch, seconds=np.full(len(batch), np.nan)))
    found = of(watch.evaluate(notable=-9.0), "a")
    assert not {item.result.name for item in found.evidence} & (OF_CALLS - {JOINTLY, "answers"})


def test_a_reference_without_a_detector_leaves_it_out_and_says_so(
    reference: Reference, batch_of: Callable[..., Batch], actor: Any
) -> None:
    without = {name: held for name, held in reference.detectors.items() if name not in ("volume", "coverage")}
    without["rhythm"] = msgspec.structs.replace(without["rhythm"], version=99)
    watch = Watch(msgspec.structs.replace(reference, detectors=without))
    watch.learn_batch(batch_of([actor("a", np.eye(256)[0], 200, {}, 0.0)]))
    found = watch.evaluate(notable=-9.0)
    names = {item.result.name for item in of(found, "a").evidence}
    assert "population" in names
    assert not names & {"volume", "coverage", "rhythm"}
    assert "made without coverage, volume, rhythm, left out here too: calibrate again" in found.because[0]
    # Without what tells the kinds, all accounts are of none.
    blind = Watch(msgspec.structs.replace(reference, detectors={"evenness": reference.detectors["evenness"]}))
    blind.learn_batch(batch_of([actor("a", np.eye(256)[0], 200, {}, 0.0)]))
    assert [item.result.name for item in of(blind.evaluate(notable=-9.0), "a").evidence] == ["evenness"]


class InStep:
    """Finds the accounts that it is told of, as if they had been in step."""

    name = "in step"
    version = 1
    basis: Basis = "when"

    def __init__(self, members: Sequence[str]) -> None:
        self.members = tuple(members)

    def links(self, table: LinkTable) -> list[Link]:
        return []

    def rings(self, links: Sequence[Link], table: LinkTable, honest_group: int | None = None) -> list[Ring]:
        parties = tuple((name,) for name in self.members)
        return [
            Ring(
                ring_id="step", accounts=self.members, kinds=("rhythm",), links=(), log10_p=-9.0, honest_group=1,
                because=(), basis="when", customers=parties,
            )
        ]  # fmt: skip


@pytest.mark.parametrize("alone", [False, True])
def test_a_ring_in_step_is_compared_with_customers_of_its_kind_also_where_some_came_later(
    reference: Reference,
    actor: type[Any],
    honest: Callable[..., list[Any]],
    batch_of: Callable[..., Batch],
    alone: bool,
) -> None:
    others = honest(240, seed=31)
    strange = [actor(f"strange-{i}", others[i].centre, 80, {"payment": f"strange-{i}"}, 0.6) for i in range(6)]
    usual = [each.name for each in others if 64 <= each.n < 128][:6]
    found = {}
    for members in ([each.name for each in strange], usual):
        watch = Watch(None if alone else reference, ring_detectors=(InStep(members),))
        watch.learn_batch(batch_of([*strange, *others], seed=3))
        evaluate = watch.evaluate_alone if alone else watch.evaluate
        evaluate(notable=-99.0)
        watch.learn_batch(batch_of(honest(4, seed=32), seed=4))
        (ring,) = rings_of(evaluate(notable=-99.0))
        assert not {"coverage"} & {item.result.name for item in ring.evidence}
        found[ring.accounts[0]] = {item.result.name: item.result for item in ring.evidence}
    assert found["strange-0"]["elicitation"].log10_e > 1.0
    assert "of its customers were compared" in found["strange-0"]["elicitation"].because[1]
    assert found[usual[0]]["elicitation"].log10_e < 1.0
