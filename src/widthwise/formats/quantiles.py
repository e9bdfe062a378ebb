"""Order statistics of values that come block by block, exact, in memory that does not grow with them.

Floats from zero up are in the order of their bits, read as integers. Each reading settles some of these bits,
from the highest down, by counting: a histogram for each part is all that is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MANY_BITS, FEW_BITS = 16, 8  # settled at each reading: few where histograms would outgrow what is read
MANY = 2**16  # values of a block


class Ranked:
    """Of each part the least value that has few enough above it, after as many readings as that takes.

    beyond: from how many values a part has to how many of them may lie above.
    """

    def __init__(self, beyond: Callable[[int], int]) -> None:
        self._beyond = beyond
        self._counts: Tensor | None = None  # [parts, 2^bits]
        self._settled: Tensor | None = None  # [parts], the bits from `_left` up; None: none yet
        self._above: Tensor  # [parts], how many may be above among those that have the settled bits
        self._bits = self._left = 0
        self._dtypes: tuple[Tensor, Tensor]  # no values, of the floats that are seen and of their bits

    def see(self, values: Tensor) -> None:
        """Counts one block [parts, n] of floats >= 0; NaN is left out. Parts stay the same."""
        import torch

        if self._counts is None:
            self._begin(values)
        assert self._counts is not None
        keys = values.abs().contiguous().view(self._dtypes[1].dtype).long()  # -0 has a sign
        counted = ~values.isnan()
        if self._settled is not None:
            counted &= (keys >> self._left) == self._settled[:, None]
        digits = (keys >> (self._left - self._bits)) & ((1 << self._bits) - 1)
        parts = torch.arange(len(keys), device=keys.device)[:, None] << self._bits
        found = torch.bincount((parts + digits)[counted], minlength=self._counts.numel())
        self._counts += found.reshape(self._counts.shape)

    def settle(self) -> bool:
        """All has been seen once more: settles the next bits. Whether none is left, or nothing was seen."""
        import torch

        if self._counts is None:
            return True
        if self._settled is None:
            totals = self._counts.sum(1)
            self._above = torch.tensor([self._beyond(int(total)) for total in totals]).to(totals)
            self._settled = torch.zeros_like(totals)
        above = self._counts.flip(1).cumsum(1).flip(1) - self._counts  # of each bin
        chosen = (above <= self._above[:, None]).int().argmax(1)  # the lowest with few enough
        self._above = self._above - above.gather(1, chosen[:, None])[:, 0]
        self._settled, self._left = (self._settled << self._bits) | chosen, self._left - self._bits
        self._counts = torch.zeros_like(self._counts)
        return self._left == 0

    @property
    def values(self) -> Tensor | None:
        """One for each part [parts], 0 for one without any; None where nothing was seen."""
        if self._settled is None:
            return None
        of_floats, of_bits = self._dtypes
        return self._settled.to(of_bits.dtype).view(of_floats.dtype)

    def _begin(self, values: Tensor) -> None:
        import torch

        integers = torch.int64 if values.dtype == torch.float64 else torch.int32
        self._dtypes = values.new_empty(0), values.new_empty(0, dtype=integers)
        self._left = 8 * values.element_size()
        self._bits = MANY_BITS if len(values) == 1 and values.numel() >= MANY else FEW_BITS
        self._counts = torch.zeros(len(values), 1 << self._bits, dtype=torch.int64, device=values.device)
