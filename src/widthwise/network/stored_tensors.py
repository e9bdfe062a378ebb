"""Quantised weights and biases, kept from one call to the next."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through
from widthwise.network.exactness import exceeds_float, may_exceed_float
from widthwise.network.holding import is_jit_tracing
from widthwise.network.scheme import Scheme


@dataclass(frozen=True, eq=False)
class _Kept:
    """A quantised tensor, and what it was made from: an alias keeps that memory from being used again."""

    alias: Tensor
    version: int
    value: Tensor

    def is_of(self, tensor: Tensor) -> bool:
        """Whether the tensor is still what the value was made from, or one made anew that is equal."""
        if self.alias.dtype != tensor.dtype or self.alias.shape != tensor.shape:
            return False
        if self.alias.data_ptr() == tensor.data_ptr():
            return self.version == tensor._version
        return torch.equal(self.alias, tensor)


@dataclass(eq=False)
class StoredTensors:
    """Quantised weights and biases, made once for each format, until they change.

    In place through `parameter.data` is not seen: change the parameter itself under torch.no_grad.
    """

    kept: dict[Hashable, _Kept] = field(default_factory=dict)
    wide: dict[Hashable, tuple[Tensor, bool]] = field(default_factory=dict)  # of which weight it was said

    def quantised(self, name: Hashable, tensor: Tensor, fmt: Format) -> Tensor:
        """The tensor in a format; under autograd the gradient passes straight through."""
        if torch.is_grad_enabled() and tensor.requires_grad:
            return straight_through(fmt, tensor)
        unlike = type(tensor) not in (Tensor, nn.Parameter)  # torch exports or compiles, and has no values
        traced = is_jit_tracing()  # twice, with the same calls
        if unlike or traced or tensor.is_inference():  # which has no version to tell changes by
            return fmt.quantize(tensor)
        kept = self.kept.get((name, fmt))
        if kept is None or not kept.is_of(tensor):
            with torch.inference_mode(False), torch.no_grad():  # so that autograd may use the value later
                kept = _Kept(tensor.detach(), tensor._version, fmt.quantize(tensor))
            self.kept[name, fmt] = kept
        return kept.value

    def exceeds_float(
        self, layer: str | nn.Module, scheme: Scheme, weight: Tensor, bias: Tensor | None
    ) -> bool:
        """Whether float32 does not hold the sums of a layer, looked up once for each of its weights."""
        if not may_exceed_float(scheme, weight):
            return False
        known = self.wide.get((scheme, weight.shape))
        if known is None or known[0] is not weight:
            known = (weight, exceeds_float(layer, scheme, weight, bias))
            self.wide[scheme, weight.shape] = known
        return known[1]

    def __deepcopy__(self, memo: Any) -> StoredTensors:
        """Copies start with nothing."""
        return StoredTensors()
