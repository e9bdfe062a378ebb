"""Parameters in versions: a layer's weights in each of their formats, and the layer that has them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from widthwise.core.arrays import IntArray
from widthwise.formats.base import Format
from widthwise.network.exactness import layer_exactly
from widthwise.network.quantized import is_more_than_its_class

MANY_WEIGHTS = 8  # for each value read: from there on images with channels last take 1.4 times as long

Choice = Sequence[int] | NDArray[np.int64]
"""The format of each of a step's own slots."""


@dataclass(frozen=True)
class Parameter:
    """The versions of a parameter: its values in each format, computed when first asked for."""

    value: Tensor
    formats: tuple[Format | None, ...]
    made: dict[int, Tensor] = field(default_factory=dict)

    def __getitem__(self, choice: int) -> Tensor:
        if choice not in self.made:
            fmt = self.formats[choice]
            self.made[choice] = self.value if fmt is None else fmt.quantize(self.value)
        return self.made[choice]


@dataclass(frozen=True, eq=False)
class Layers:
    """A call with its parameters in versions: for each choice of formats a call that computes with these.

    parameters: name -> own slot, versions. A layer is copied with its parameters alone replaced, so hooks and
    everything else of it is shared. exact: whether it computes in float64, as its sums need.
    """

    call: Callable[..., Any]
    parameters: Mapping[str, tuple[int, Parameter]] = field(default_factory=dict)
    exact: bool = False
    _made: dict[tuple[int, ...], Callable[..., Any]] = field(default_factory=dict)

    def of(self, choice: Choice) -> Callable[..., Any]:
        """The call with the parameters of this choice of the own slots."""
        if not self.parameters or not isinstance(self.call, nn.Module):
            return self.call
        return self._once(tuple(int(index) for index in choice), self.call)

    def alone(self, choice: Choice) -> Callable[..., Any]:
        """The same for one version at a time: convolutions of images have channels last, which is faster."""
        return self._alone.of(choice)

    def run_alone(self, choice: Choice, x: Tensor) -> Any:
        """What `alone` gives for x; in the usual order of axes where the weight is much larger than x."""
        call = self.call
        if isinstance(call, nn.Conv2d) and call.kernel_size != (1, 1):
            large = call.weight.numel() > MANY_WEIGHTS * x.numel()
            return self.of(choice)(x.contiguous()) if large else self.alone(choice)(x)
        return self.alone(choice)(x)

    @cached_property
    def _alone(self) -> Layers:
        call = self.call
        if (
            not isinstance(call, nn.Conv2d)
            or is_more_than_its_class(call)
            or call.weight.device.type != "cpu"
        ):
            return self
        own = _with_values(call, {"weight": _channels_last(call.weight)})
        parameters = {
            name: (slot, _InChannelsLast(versions.value, versions.formats) if name == "weight" else versions)
            for name, (slot, versions) in self.parameters.items()
        }
        return Layers(own, parameters, self.exact)

    def _once(self, choice: tuple[int, ...], layer: nn.Module) -> Callable[..., Any]:
        if choice not in self._made:
            values = {name: versions[choice[slot]] for name, (slot, versions) in self.parameters.items()}
            self._made[choice] = Exactly(layer, values) if self.exact else _with_values(layer, values)
        return self._made[choice]


@dataclass(frozen=True, eq=False)
class Exactly:
    """A layer of fixed point whose sums float32 does not hold, with these values of its parameters."""

    layer: nn.Module
    values: Mapping[str, Tensor]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return layer_exactly(self.layer, self.values, args, kwargs)


class _InChannelsLast(Parameter):
    def __getitem__(self, choice: int) -> Tensor:
        if choice not in self.made:
            self.made[choice] = _channels_last(super().__getitem__(choice))
        return self.made[choice]


def _channels_last(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)


def _with_values(layer: nn.Module, values: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the layer that computes with these values of its parameters, by name, and shares the rest."""
    made = copy.copy(layer)
    made._parameters, made._modules = dict(layer._parameters), dict(layer._modules)
    inner: dict[str, dict[str, Tensor]] = {}
    for name, value in values.items():
        child, _, rest = name.partition(".")
        if rest:
            inner.setdefault(child, {})[rest] = value
        else:
            made._parameters[name] = value  # type: ignore[assignment]  # torch reads tensors here just as well
    for child, own in inner.items():
        made._modules[child] = _with_values(layer.get_submodule(child), own)
    return made


def grouped(choices: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Each distinct row of choices with the rows that have it, ascending."""
    if len(choices) == 1 or not choices.shape[1]:
        return [(choices[0], np.arange(len(choices)))]
    if choices.shape[1] == 1:
        distinct, which = np.unique(choices[:, 0], return_inverse=True)
        distinct = distinct[:, None]
    else:
        distinct, which = np.unique(choices, axis=0, return_inverse=True)
    if len(distinct) == 1:
        return [(distinct[0], np.arange(len(choices)))]
    order = np.argsort(which, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(which))[:-1])
    return list(zip(distinct, parts, strict=True))
