"""Which tenants' answers a student was fed: a probabilistic code over tenants, carried by marks.

Each n-gram belongs to one of ``m`` positions of the code. Position i has a bias p_i, and every tenant a bit there that
is 1 with chance p_i, independently of all others. A student fed by several tenants shows at each position a mixture of
their bits, and correlates with the code words of those tenants alone. Sources: Tardos (2003), "Optimal probabilistic
fingerprint codes"; Skoric, Katzenbeisser & Celik (2008), "Symmetric Tardos fingerprinting codes for arbitrary alphabet
sizes".

    bias p_i               sin^2 of an angle between CUT and pi/2 - CUT, uniform by SipHash(HKDF(key, "biases"), [i])
    bit of a tenant at i   SipHash(HKDF(key, "tenant", name), [i]) / 2^64 < p_i
    position of an n-gram  by its lane, and so is its list: see ``marks.traced``

Nothing is stored: names, key and epoch give the code again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spiritsafe.protect import prf
from spiritsafe.protect.keys import MarkKey, derived
from spiritsafe.protect.marks.embed import is_marked
from spiritsafe.protect.marks.marker import Processed
from spiritsafe.protect.marks.traced import Traced
from spiritsafe.protect.marks.types import Stage
from spiritsafe.stats.types import BoolArray, FloatArray
from spiritsafe.teach.types import Context, Teacher

if TYPE_CHECKING:
    from torch import Tensor

CUT = 0.1
"""The least angle: no bias is nearer to 0 or 1 than a hundredth, where one odd bit would outweigh all others."""


class Code:
    """The code words of one mark under one key."""

    def __init__(self, mark: Traced, key: MarkKey) -> None:
        self.mark = mark
        self.key = key
        self._places = np.arange(mark.m, dtype=np.uint32)[:, None]

    @cached_property
    def biases(self) -> FloatArray:
        """The chance of a 1 at each position."""
        angles = CUT + self._uniform(derived(self.key, "biases")) * (np.pi / 2 - 2 * CUT)
        return np.asarray(np.sin(angles) ** 2)

    def word(self, tenant: str) -> BoolArray:
        """A tenant's code word, ``[m]``."""
        return np.asarray(self._uniform(derived(self.key, "tenant", tenant)) < self.biases)

    def _uniform(self, secret: bytes) -> FloatArray:
        values = prf.siphash(np.array(prf.sip_key(secret), dtype=np.uint64), self._places)
        return (values >> np.uint64(11)).astype(np.float64) / 2.0**53

    def reweighed(
        self, word: BoolArray, logits: npt.NDArray[np.float32], generated: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """One row of logits for the tenant with ``word``; ``logits`` itself where nothing is marked."""
        if not is_marked(self.mark, generated):
            return logits
        context = generated[len(generated) - self.mark.k :]
        lanes = prf.lanes_of_vocabulary(self.key.sip, context, logits.shape[0], self.mark.bits)
        return self.mark.reweigh_for(logits, lanes, word)


class TracingProcessor:
    """A ``teach`` processor that marks for one tenant."""

    stage: Stage = "logits"

    def __init__(self, code: Code, tenant: str) -> None:
        self._code = code
        self._word = code.word(tenant)

    def __call__(self, logits: Tensor, context: Context) -> Tensor:
        """One row of logits with the mark."""
        import torch  # noqa: PLC0415 - a mark is looked up and detected without torch

        row = logits.detach().cpu().numpy()
        out = self._code.reweighed(self._word, row, context.generated)
        return logits if out is row else torch.from_numpy(out).to(logits.device)


class TracingMarker:
    """Marks every answer with the code word of whoever asks: a ``teach.types.Marker``. No name is a name as well."""

    def __init__(self, mark: Traced, key: MarkKey) -> None:
        self._code = Code(mark, key)
        self.mark_id = key.mark_id

    def of(self, teacher: Teacher, tenant: str | None) -> Teacher:
        """``teacher`` with the tenant's mark."""
        return Processed(teacher, (TracingProcessor(self._code, tenant or ""),))
