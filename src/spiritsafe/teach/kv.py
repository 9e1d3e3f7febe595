"""Keys and values of every row being decoded, in one block of memory, and attention over it.

Row i of the block holds one sequence from column 0 on, so a row's positions do not depend on its
neighbours. The rows in use are always the first ones: a row that ends is overwritten by the last. A
step writes its own few columns and attends to a strided view; the whole is copied only when it
grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "spiritsafe_slots"
COLUMNS = 128
WASTE = 3
# This many columns over all rows are no waste to speak of.
SMALL = 4096


class Slots:
    """The block, of shape ``[layers, 2, rows, heads, columns, dim]``; ``reserve`` sizes it."""

    def __init__(self, *, layers: int, heads: int, dim: int, dtype: torch.dtype, device: torch.device) -> None:
        self._store = torch.empty((layers, 2, 0, heads, 0, dim), dtype=dtype, device=device)

    @classmethod
    def of(cls, model: PreTrainedModel) -> Slots:
        """An empty block of the shape that ``model`` needs."""
        config = model.config
        return cls(
            layers=config.num_hidden_layers,
            heads=config.num_key_value_heads,
            dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
            dtype=model.dtype,
            device=model.device,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns allocated."""
        return self._store.shape[2], self._store.shape[4]

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for that much; what lies within it stays, what lies beyond may be lost.

        Memory grows by half at a time, and shrinks when it has come to be several times what is asked for:
        one long row among few would otherwise cost as much again for every row that joins later.
        """
        had_rows, had_columns = self.shape
        wide = -(-columns // COLUMNS) * COLUMNS
        enough = rows <= had_rows and columns <= had_columns
        if enough and had_rows * had_columns <= max(WASTE * rows * wide, SMALL):
            return
        want_rows = had_rows if rows <= had_rows else max(rows, had_rows * 3 // 2)
        want_columns = had_columns if columns <= had_columns else max(wide, had_columns * 3 // 2)
        if want_rows * want_columns > max(WASTE * rows * wide, SMALL):
            want_rows, want_columns = rows, wide
        layers, two, _, heads, _, dim = self._store.shape
        # Zeros, not empty: a masked column takes part with weight 0, and 0 times a stray NaN is NaN.
        fresh = self._store.new_zeros((layers, two, want_rows, heads, want_columns, dim))
        both = (slice(min(had_rows, want_rows)), slice(min(had_columns, want_columns)))
        fresh[:, :, both[0], :, both[1]] = self._store[:, :, both[0], :, both[1]]
        self._store = fresh

    def copy(self, source: int, target: int, columns: int) -> None:
        """Overwrite the first columns of row ``target`` with those of row ``source``."""
        self._store[:, :, target, :, :columns] = self._store[:, :, source, :, :columns]

    def swap(self, a: int, b: int, columns: int) -> None:
        """Exchange the first columns of two rows."""
        kept = self._store[:, :, a, :, :columns].clone()
        self.copy(b, a, columns)
        self._store[:, :, b, :, :columns] = kept

    def window(self, first: int, starts: Sequence[int], width: int) -> Window:
        """The step of ``width`` new columns for rows ``first`` and on, row ``first + i`` from column ``starts[i]``.

        A row with fewer new tokens is padded at its end: what the padding writes lies behind the
        row's length and is overwritten before anything attends to it.
        """
        assert first + len(starts) <= self.shape[0], "reserve the rows first"
        assert max(starts) + width <= self.shape[1], "reserve the columns first"
        return Window(self._store, first, starts, width)


class Window:
    """One step's view of the block: where its rows write, and what they may see. Passed to the model's forward."""

    def __init__(self, store: Tensor, first: int, starts: Sequence[int], width: int) -> None:
        self._rows = slice(first, first + len(starts))
        self._columns = max(starts) + width
        self._view = store[:, :, self._rows, :, : self._columns]
        device = store.device
        self._index = torch.arange(len(starts), device=device)[:, None]
        self.positions = torch.tensor(starts, device=device)[:, None] + torch.arange(width, device=device)
        seen = torch.arange(self._columns, device=device) <= self.positions[:, None, :, None]
        self._mask = torch.zeros(seen.shape, dtype=store.dtype, device=device).masked_fill_(~seen, float("-inf"))

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Write this step's keys and values, attend to all so far.

        ``query`` is ``[rows, heads, width, dim]``, ``key`` and ``value`` ``[rows, key heads, width,
        dim]``; returns ``[rows, width, heads, dim]``. The query heads that share a key head are laid
        along the width, so the keys are never repeated in memory (12 times quicker at 32 rows of 300).
        """
        keys, values = self._view[layer, 0], self._view[layer, 1]
        keys[self._index, :, self.positions] = key.transpose(1, 2)
        values[self._index, :, self.positions] = value.transpose(1, 2)
        rows, heads, width, dim = query.shape
        shared = heads // key.shape[1]
        grouped = query.reshape(rows, key.shape[1], shared * width, dim)
        mask = self._mask.repeat(1, 1, shared, 1) if width > 1 else self._mask.expand(-1, -1, shared, -1)
        out = scaled_dot_product_attention(grouped, keys, values, attn_mask=mask, scale=scaling)
        return out.view(rows, heads, width, dim).transpose(1, 2)


def register_attention() -> None:
    """Make ``ATTENTION`` a choice of ``attn_implementation``. Idempotent."""
    AttentionInterface.register(ATTENTION, _attention)


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    window: Window,
    **_unused: object,
) -> tuple[Tensor, None]:
    layer = module.layer_idx
    assert isinstance(layer, int)
    return window.attend(layer, query, key, value, scaling), None
