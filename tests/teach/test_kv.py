from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.teach.kv import COLUMNS, SMALL, WASTE, Slots


def slots(rows: int = 4, columns: int = 16) -> Slots:
    block = Slots(layers=2, heads=2, dim=4, dtype=torch.float32, device=torch.device("cpu"))
    block.reserve(rows, columns)
    return block


def step(block: Slots, first: int, starts: list[int], width: int, seed: int, layer: int = 0):
    generator = torch.Generator().manual_seed(seed)
    rows = len(starts)
    query = torch.randn(rows, 4, width, 4, generator=generator)
    key, value = (torch.randn(rows, 2, width, 4, generator=generator) for _ in range(2))
    return query, key, value, block.window(first, starts, width).attend(layer, query, key, value, 0.5)


def plain(query, keys, values, start: int):
    """Attention of one row by the formula: ``query`` [heads, width, dim], ``keys`` [key heads, columns, dim]."""
    keys, values = keys.repeat_interleave(2, 0), values.repeat_interleave(2, 0)
    scores = query @ keys.transpose(1, 2) * 0.5
    width, columns = scores.shape[1:]
    hidden = torch.arange(columns)[None] > torch.arange(start, start + width)[:, None]
    return scores.masked_fill(hidden, float("-inf")).softmax(-1) @ values


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 3), st.integers(0, 99))
def test_rows_of_any_length_attend_as_the_formula_says(lengths: list[int], width: int, seed: int) -> None:
    block = slots()
    history = []
    for row, length in enumerate(lengths):
        _, key, value, _ = step(block, row, [0], length, seed + row)
        history.append((key[0], value[0]))
    query, key, value, out = step(block, 0, lengths, width, seed + 50)
    for row, length in enumerate(lengths):
        keys, values = (torch.cat((old, new[row]), 1) for old, new in zip(history[row], (key, value), strict=True))
        expected = plain(query[row], keys, values, length).transpose(0, 1)
        torch.testing.assert_close(out[row], expected, atol=1e-5, rtol=1e-5)


def test_what_padding_wrote_is_never_seen() -> None:
    padded, clean = slots(), slots()
    _, key, value, _ = step(padded, 0, [0], 5, 1)
    window = clean.window(0, [0], 2)
    window.attend(0, torch.zeros(1, 4, 2, 4), key[:, :, :2], value[:, :, :2], 0.5)
    assert torch.equal(step(padded, 0, [2], 1, 9)[3], step(clean, 0, [2], 1, 9)[3])


def test_rows_keep_their_content_when_the_block_grows_and_when_they_move() -> None:
    block, still = slots(), slots()
    for each in (block, still):
        step(each, 0, [0], 3, 1)
        step(each, 1, [0], 4, 2)
    block.reserve(9, 3 * COLUMNS)
    assert block.shape == (9, 3 * COLUMNS)
    block.swap(0, 1, 4)
    block.copy(1, 5, 3)
    assert torch.equal(step(block, 0, [4], 1, 7)[3], step(still, 1, [4], 1, 7)[3])
    assert torch.equal(step(block, 5, [3], 1, 7)[3], step(still, 0, [3], 1, 7)[3])


def test_layers_do_not_mix() -> None:
    block, alone = slots(), slots()
    step(block, 0, [0], 3, 1, layer=0)
    step(block, 0, [0], 3, 2, layer=1)
    step(alone, 0, [0], 3, 2, layer=1)
    assert torch.equal(step(block, 0, [3], 1, 3, layer=1)[3], step(alone, 0, [3], 1, 3, layer=1)[3])


def test_reserve_copies_nothing_while_there_is_room() -> None:
    block = slots()
    for _ in range(2):
        block.reserve(3, 10)
        assert block.shape == (4, COLUMNS)
    step(block, 0, [0], 3, 1)
    store = block._store
    block.reserve(1, 1)
    assert block._store is store


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9000)), min_size=1, max_size=12))
def test_memory_stays_within_a_few_times_what_is_asked_for(asked) -> None:
    block = Slots(layers=1, heads=1, dim=1, dtype=torch.int8, device=torch.device("cpu"))
    for rows, columns in asked:
        block.reserve(rows, columns)
        had_rows, had_columns = block.shape
        assert had_rows >= rows
        assert had_columns >= columns
        assert had_rows * had_columns <= max(WASTE * rows * (columns + COLUMNS), SMALL)


def test_what_is_asked_for_stays_when_memory_shrinks() -> None:
    block, still = slots(), slots()
    for each in (block, still):
        step(each, 0, [0], 3, 1)
        step(each, 1, [0], 4, 2)
    block.reserve(2, 9000)
    block.reserve(2, 4)
    assert block.shape[1] < 9000
    assert torch.equal(step(block, 1, [4], 1, 7)[3], step(still, 1, [4], 1, 7)[3])


def test_growing_step_by_step_copies_rarely() -> None:
    block = Slots(layers=1, heads=1, dim=1, dtype=torch.int8, device=torch.device("cpu"))
    shapes = set()
    for columns in range(1, 5000):
        block.reserve(8, columns)
        shapes.add(block.shape)
    assert len(shapes) < 14
