from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import polars as pl
import pytest

from spiritsafe.detect.features import SHARED, digest, from_exchanges, from_frame
from spiritsafe.errors import InputError
from spiritsafe.record.exchange import Exchange, Message
from spiritsafe.record.sketch import sketch

PARTS = frozenset({"embedding", "ngrams"})
TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMN = {name: i for i, (name, _) in enumerate(SHARED)}


def exchange(account: str, prompt: str | None, **more: object) -> Exchange:
    messages = None if prompt is None else (Message("system", "be kind"), Message("user", prompt))
    return Exchange(exchange_id=f"{account}-{prompt}", time=TIME, account_id=account, messages=messages, **more)  # type: ignore[arg-type]


def test_exchanges_and_rows_of_a_log_look_the_same() -> None:
    exchanges = [
        exchange("a", "What is a lake?", payment="card-1", system="be kind", model="m"),
        exchange("b", "Name 3 rivers", ip_prefix="net-1", client="curl", model="m"),
        exchange("a", None, network="as1"),
    ]
    rows = [
        {
            "account_id": e.account_id,
            "time": e.time.replace(tzinfo=None),
            "prompt": e.messages[-1].content if e.messages else None,
            "model": e.model,
            **{name: getattr(e, name) for name, _ in SHARED},
        }
        for e in exchanges
    ]
    one = from_exchanges(exchanges, PARTS)
    two = from_frame(pl.DataFrame(rows), PARTS)
    assert one.accounts == two.accounts == ("a", "b")
    np.testing.assert_array_equal(one.owner, two.owner)
    np.testing.assert_array_equal(one.shared, two.shared)
    np.testing.assert_array_equal(one.seconds, two.seconds)
    for batch in (one, two):
        assert batch.prompt[2] == -1
    np.testing.assert_array_equal(one.prompts.template[one.prompt[:2]], two.prompts.template[two.prompt[:2]])


def test_a_kept_sketch_stands_for_its_text() -> None:
    full = [exchange("a", "What is a lake?"), exchange("a", "Name 3 rivers"), exchange("b", "hello", system="s")]
    kept = [msgspec.structs.replace(e, messages=None, system=None, content="sketch", sketch=sketch(e)) for e in full]
    for exchanges in (kept, [full[0], *kept[1:]]):
        one, two = from_exchanges(full, PARTS), from_exchanges(exchanges, PARTS)
        left, right = one.prompts, two.prompts
        np.testing.assert_array_equal(left.template[one.prompt], right.template[two.prompt])
        assert left.embedding is not None
        assert right.embedding is not None
        np.testing.assert_array_equal(left.embedding[one.prompt], right.embedding[two.prompt])
    assert two.shared[2, COLUMN["system"]] != 0


def test_near_identical_prompts_have_one_key() -> None:
    texts = ["Add 3 and 14.", "add 7 AND 59 .", "Add 3 to 14."]
    batch = from_exchanges([exchange("a", text) for text in texts], PARTS)
    keys = batch.prompts.template[batch.prompt]
    assert keys[0] == keys[1] != keys[2]


def test_what_holds_no_word_is_not_asked() -> None:
    batch = from_exchanges([exchange("a", text) for text in ("", "  \n\t ", "word")], PARTS)
    assert batch.prompt.tolist()[:2] == [-1, -1]
    assert batch.prompt[2] >= 0


def test_a_megabyte_prompt_and_forty_scripts_are_read() -> None:
    texts = ["word " * 200_000, "思考过程", "Привет", "مرحبا", "😀", "a\x00b"]
    batch = from_exchanges([exchange("a", text) for text in texts], PARTS)
    assert (batch.prompt >= 0).all()
    assert batch.prompts.embedding is not None
    assert np.isfinite(batch.prompts.embedding.astype(np.float32)).all()


def test_no_exchanges_are_an_empty_batch() -> None:
    assert len(from_exchanges([], PARTS)) == 0
    assert (
        len(
            from_frame(
                pl.DataFrame({"account_id": [], "prompt": []}, schema={"account_id": pl.String, "prompt": pl.String}),
                PARTS,
            )
        )
        == 0
    )


def test_columns_that_a_log_lacks_are_nulls() -> None:
    batch = from_frame(pl.DataFrame({"account_id": ["a", "b"], "prompt": ["hello there", None]}), PARTS)
    assert batch.prompt.tolist() == [batch.prompt[0], -1]
    assert not batch.shared.any()
    assert np.isnan(batch.seconds).all()
    assert batch.models == ("",)


def test_an_empty_value_is_shared_by_nobody() -> None:
    batch = from_exchanges([exchange("a", "x", system="", payment="")], PARTS)
    assert not batch.shared.any()


def test_the_same_value_of_two_columns_is_not_the_same() -> None:
    assert digest("payment", "x") != digest("client", "x")
    assert digest("payment", "x") == digest("payment", "x")


def test_an_exchange_of_a_newer_version_is_refused() -> None:
    with pytest.raises(InputError, match="version 99"):
        from_exchanges([msgspec.structs.replace(exchange("a", "x"), version=99)], PARTS)
