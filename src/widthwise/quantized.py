"""A layer that computes with a scheme: one wrapper for every kind of layer, straight-through gradients included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through
from widthwise.scheme import Scheme, TensorName


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


class Quantized(nn.Module):
    """A layer that reads its inputs, weights and biases through the formats of a scheme.

    Every float tensor among the inputs is quantised as data_in, this reader's own copy. The layer's float
    parameters stay as they are. Under autograd the formats pass gradients straight through, cut where they
    saturate; otherwise a quantised parameter is kept until the parameter or the scheme changes (a change in
    place through `parameter.data` is not seen: change the parameter itself under torch.no_grad instead).
    """

    def __init__(self, layer: nn.Module, scheme: Scheme) -> None:
        super().__init__()
        self.layer = layer
        self.scheme = scheme
        self._cache: dict[str, tuple[tuple[Any, ...], Tensor]] = {}
        self.train(layer.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes from the quantised inputs with the quantised parameters."""
        if (fmt := self.scheme.data_in) is not None:
            args, kwargs = tree_map_only(Tensor, lambda x: quantize_input(fmt, x), (args, kwargs))
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
        key = (fmt, parameter.data_ptr(), parameter._version, parameter.device)
        kept = self._cache.get(name)
        if kept is None or kept[0] != key:
            kept = self._cache[name] = (key, fmt.quantize(parameter))
        return kept[1]

    def __getattr__(self, name: str) -> Any:
        """The layer's own attributes (in_features, weight …), so that passes can read them through the wrapper."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "layer":
                raise
            return getattr(self.layer, name)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": {}}

    def extra_repr(self) -> str:
        return str(self.scheme)


def quantize_input(fmt: Format, x: Tensor) -> Tensor:
    """x through the format where it holds floats; indices and masks as they are."""
    return straight_through(fmt, x) if x.is_floating_point() else x


def parameter_role(name: str) -> TensorName:
    """Which of a scheme's formats a parameter takes: names such as in_proj_bias are biases, all others weights."""
    return "bias" if name.rpartition(".")[2].endswith("bias") else "weight"
