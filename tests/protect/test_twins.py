from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import InputError
from spiritsafe.protect import twins
from spiritsafe.protect.twins import Pair
from spiritsafe.record.exchange import Exchange, Message

KEY = bytes(range(32))
TIME = datetime(2026, 11, 3, 12, tzinfo=UTC)


def exchange(name: str = "ex_1") -> Exchange:
    return Exchange(
        exchange_id=name,
        time=TIME,
        account_id="acct",
        system="be brief",
        messages=(Message("user", [{"type": "text", "text": "why copper?"}]),),
        completion="because",
        status=200,
    )


def test_the_coin_is_fair_and_so_is_the_draw() -> None:
    names = [f"ex_{n}" for n in range(20_000)]
    ups = sum(twins.coin(KEY, name) for name in names)
    assert abs(ups - 10_000) < 5 * 71
    drawn = [name for name in names if twins.is_drawn(KEY, name, 0.02)]
    assert 300 < len(drawn) < 500
    assert set(drawn) <= {name for name in names if twins.is_drawn(KEY, name, 0.1)}
    among = Counter(twins.coin(KEY, name) for name in names if twins.is_drawn(KEY, name, 0.5))
    assert abs(among[0] - among[1]) < 5 * 100


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 100)])
def test_none_and_all(share: float, expected: int) -> None:
    assert sum(twins.is_drawn(KEY, str(n), share) for n in range(100)) == expected


@given(st.binary(min_size=32, max_size=32), st.text(max_size=40))
def test_what_is_not_served_is_withheld(key: bytes, name: str) -> None:
    assert {twins.coin(key, name), twins.withheld(key, name)} == {0, 1}
    assert twins.coin(key, name) == twins.coin(key, name)


def test_epochs_have_keys_and_commitments_of_their_own() -> None:
    keys = [twins.epoch_key(KEY, epoch) for epoch in ("2026-11", "2026-12")]
    assert keys[0] != keys[1]
    assert twins.epoch_of(datetime(2026, 12, 1, tzinfo=UTC)) == "2026-12"
    assert twins.commitment(keys[0], "2026-11") != twins.commitment(keys[0], "2026-12")
    assert len(twins.commitment(keys[0], "2026-11")) == 64
    with pytest.raises(InputError, match="32 bytes"):
        twins.epoch_key(b"short", "2026-11")


def test_a_pair_is_kept_as_two_exchanges_that_do_not_say_which_was_served() -> None:
    rows = twins.exchanges_of(exchange(), ("one", "two"), (1, None))
    assert [row.twin_of for row in rows] == ["ex_1", "ex_1"]
    assert [row.completion_tokens for row in rows] == [1, None]
    (pair,) = twins.pairs_in(rows[::-1])
    assert pair == Pair(
        pair_id="ex_1",
        time=TIME,
        epoch="2026-11",
        messages=({"role": "system", "content": "be brief"}, {"role": "user", "content": "why copper?"}),
        answers=("one", "two"),
        tenant="acct",
    )
    assert twins.served_text(pair, KEY) == pair.answers[twins.coin(KEY, "ex_1")]


def test_half_a_pair_and_other_exchanges_are_none() -> None:
    rows = twins.exchanges_of(exchange(), ("one", "two"), (1, 1))
    assert list(twins.pairs_in([exchange(), rows[0], rows[0]])) == []
    without = msgspec.structs.replace(rows[1], completion=None, messages=None, system=None, content="none")
    assert list(twins.pairs_in([rows[0], without])) == []


def test_pairs_come_back_from_their_file(tmp_path: Path) -> None:
    pairs = list(
        twins.pairs_in(row for n in range(3) for row in twins.exchanges_of(exchange(f"ex_{n}"), ("a", "b"), (1, 1)))
    )
    path = tmp_path / "pairs.jsonl"
    twins.write_pairs(path, pairs)
    assert twins.read_pairs(path) == pairs
    path.write_bytes(path.read_bytes() + b"\n")
    assert twins.read_pairs(path) == pairs


@pytest.mark.parametrize(
    ("damage", "message"),
    [(b"{}", "pairs.jsonl:2: it is no pair"), (b"nonsense", ":2: it is no pair"), (None, ":2: 'ex_1' comes twice")],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, damage: bytes | None, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    twins.write_pairs(path, twins.pairs_in(twins.exchanges_of(exchange(), ("a", "b"), (1, 1))))
    line = path.read_bytes()
    path.write_bytes(line + (line if damage is None else damage + b"\n"))
    with pytest.raises(InputError, match=message):
        twins.read_pairs(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        twins.read_pairs(tmp_path / "none.jsonl")


def test_a_rights_holder_publishes_what_the_coin_says() -> None:
    texts = {f"poem {n}": (f"first {n}", f"second {n}") for n in range(50)}
    chosen = twins.choose(texts, KEY)
    assert chosen == {name: both[twins.coin(KEY, name)] for name, both in texts.items()}
    assert len({text.split()[0] for text in chosen.values()}) == 2


def test_the_earliest_commitment_of_an_epoch_counts_and_tells_nothing_of_the_key() -> None:
    later = datetime(2026, 11, 20, tzinfo=UTC)
    rows = [twins.commitment_row(KEY, "2026-11", when) for when in (TIME, later)]
    stranger = msgspec.structs.replace(rows[0], account_id="somebody")
    found = twins.commitments_in([stranger, exchange(), *rows])
    assert found == {"2026-11": twins.Committed(epoch="2026-11", digest=twins.commitment(KEY, "2026-11"), time=TIME)}
    assert KEY.hex() not in msgspec.json.encode(rows[0]).decode()
