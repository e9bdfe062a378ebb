"""A layer called with other tensors in place of its own, which it has again afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def is_jit_tracing() -> bool:
    """Whether torch.jit.trace is running what runs."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def called_with(
    layer: nn.Module, tensors: Mapping[str, Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    """What a layer gives with these tensors, by name, in place of its parameters and buffers."""
    if not is_jit_tracing():
        return torch.func.functional_call(layer, dict(tensors), args, dict(kwargs))
    with _holding(layer, tensors):  # functional_call refuses to be traced
        return layer(*args, **kwargs)


@contextmanager
def _holding(layer: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    before: list[tuple[Any, str, Any]] = []
    try:
        for name, value in tensors.items():
            path, _, own = name.rpartition(".")
            module = layer.get_submodule(path)
            held: Any = module._parameters if own in module._parameters else module._buffers
            before.append((held, own, held[own]))
            held[own] = value
        yield
    finally:
        for held, own, value in reversed(before):
            held[own] = value
