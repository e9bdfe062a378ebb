"""A layer that computes with a scheme: one wrapper for every kind of layer, gradients included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through
from widthwise.network.scheme import Scheme, TensorName


class FunctionLayer(nn.Module):
    """A function of the graph (add, matmul, relu …) as a layer, so that it can carry a scheme."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


@dataclass(frozen=True, eq=False)
class _Kept:
    """A quantised parameter, and what it was made from: an alias keeps that memory from being used again."""

    alias: Tensor
    version: int
    value: Tensor

    def is_of(self, parameter: Tensor) -> bool:
        """Whether the parameter is still what the value was made from."""
        return (
            self.alias.data_ptr() == parameter.data_ptr()
            and self.version == parameter._version
            and self.alias.dtype == parameter.dtype
            and self.alias.shape == parameter.shape
        )


class Quantized(nn.Module):
    """A layer that reads its inputs, weights and biases through the formats of a scheme.

    Every float tensor among the inputs, masks excepted, is quantised as data_in, this reader's own copy. The
    layer's float parameters stay as they are. Under autograd the formats pass gradients straight through, cut
    where they saturate; otherwise a parameter is quantised once for each format, until the parameter changes
    (in place through `parameter.data` is not seen: change the parameter itself under torch.no_grad). A layer
    that works in place changes its own copy.
    """

    def __init__(self, layer: nn.Module, scheme: Scheme) -> None:
        super().__init__()
        self.layer = layer
        self.scheme = scheme
        self._cache: dict[tuple[str, Format], _Kept] = {}
        self.training = layer.training
        # torch's transformer layers read the weights of their parts directly unless one of these has a hook
        self.register_forward_pre_hook(_nothing)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes from the quantised inputs with the quantised parameters."""
        if (fmt := self.scheme.data_in) is not None:
            args, kwargs = _quantized_inputs(fmt, args, kwargs)
        parameters = self.quantized_parameters()
        if not parameters:
            return self.layer(*args, **kwargs)
        return torch.func.functional_call(self.layer, parameters, args, kwargs)

    def quantized_parameters(self) -> dict[str, Tensor]:
        """Quantised values by parameter name, of those parameters that have a format."""
        found = {}
        for name, parameter in self.layer.named_parameters():
            fmt = self.scheme[parameter_role(name)]
            if fmt is not None:
                found[name] = self._quantized(name, parameter, fmt)
        return found

    def _quantized(self, name: str, parameter: Tensor, fmt: Format) -> Tensor:
        if torch.is_grad_enabled() and parameter.requires_grad:
            return straight_through(fmt, parameter)
        if parameter.is_inference():  # has no version to tell changes by
            return fmt.quantize(parameter)
        kept = self._cache.get((name, fmt))
        if kept is None or not kept.is_of(parameter):
            with torch.inference_mode(False), torch.no_grad():  # so that autograd may use the value later
                kept = _Kept(parameter.detach(), parameter._version, fmt.quantize(parameter))
            self._cache[name, fmt] = kept
        return kept.value

    def __getstate__(self) -> dict[str, Any]:
        """Copies start with an empty cache."""
        return self.__dict__ | {"_cache": {}}

    def extra_repr(self) -> str:
        return str(self.scheme)


def quantize_input(fmt: Format, x: Tensor) -> Tensor:
    """x through the format where it holds floats; indices and masks as they are."""
    if not x.is_floating_point():
        return x
    y = straight_through(fmt, x)
    # autograd lets no layer work in place on a view that a function of ours made
    return y.clone() if y.requires_grad and y._is_view() else y


def parameter_role(name: str) -> TensorName:
    """Which of a scheme's formats a parameter takes: in_proj_bias and the like are biases, others weights."""
    return "bias" if name.rpartition(".")[2].endswith("bias") else "weight"


def _quantized_inputs(
    fmt: Format, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs quantised; a tensor that is given twice, as attention to itself does, is quantised once."""
    done: dict[int, Tensor] = {}

    def quantized(x: Tensor) -> Tensor:
        if id(x) not in done:
            done[id(x)] = quantize_input(fmt, x)
        return done[id(x)]

    masks = {name: value for name, value in kwargs.items() if "mask" in name}
    others = {name: value for name, value in kwargs.items() if name not in masks}
    args, others = tree_map_only(Tensor, quantized, (args, others))
    return args, others | masks


def _nothing(module: nn.Module, args: Any) -> None:
    """A hook that changes nothing."""
