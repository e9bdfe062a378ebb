"""Computing with a scheme: one wrapper for every layer, and what of a layer its formats apply to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.formats.base import Format
from widthwise.network.computing import READ_INSIDE, computed, data_of_call, quantize_input
from widthwise.network.exactness import layer_exactly
from widthwise.network.holding import called_with
from widthwise.network.layers import FunctionLayer, Wrapper, is_torchs, layer_type, registered
from widthwise.network.operands import Call, Operand, operands
from widthwise.network.scheme import Scheme, TensorName
from widthwise.network.seen import check_seen
from widthwise.network.stored_tensors import StoredTensors


class Quantized(Wrapper):
    """A layer that reads its inputs, weights and biases through the formats of a scheme.

    Every float tensor among the inputs, masks excepted, is quantised as data_in, this reader's own copy. The
    layer's float parameters stay as they are. Where hooks or parametrisations make a layer more than its
    class says, the formats apply where it computes: to the weight that is used. Under autograd the formats
    pass gradients straight through, cut where they saturate. A module that works in place changes its own
    copy.

    of: the operands of a function, by default its inputs, of which parameters are weights; a module's are its
    inputs and parameters.
    """

    def __init__(self, layer: nn.Module, scheme: Scheme, of: Sequence[Operand] | None = None) -> None:
        super().__init__()
        self.layer = layer
        self.scheme = scheme
        self.of = of
        self.stored = StoredTensors()
        self.training = layer.training
        # torch's transformer layers read the weights of their parts directly unless one of these has a hook
        self.register_forward_pre_hook(_nothing)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the layer computes from the quantised inputs with the quantised parameters."""
        check_seen(f"a {type(self.layer).__name__} with {self.scheme}", args, kwargs)
        return run_layer(self.layer, self.scheme, self.stored, args, kwargs, of=self.of)

    def quantized_parameters(self) -> dict[str, Tensor]:
        """Quantised values by parameter name, of those parameters that have a format."""
        return quantised_parameters(self.layer, self.scheme, self.stored)

    def exceeds_float(self) -> bool:
        """Whether its sums take more bits than float32 has, so that they are computed in float64."""
        held = {**dict(self.layer.named_parameters()), **self.quantized_parameters()}
        weight = held.get("weight")
        return weight is not None and self.stored.exceeds_float(
            self.layer, self.scheme, weight, held.get("bias")
        )

    def extra_repr(self) -> str:
        return str(self.scheme)


def run_layer(
    layer: nn.Module,
    scheme: Scheme,
    stored: StoredTensors,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    of: Sequence[Operand] | None = None,
) -> Any:
    """What a layer, or a function as one, computes with a scheme."""
    kind = layer_type(layer)
    if isinstance(layer, FunctionLayer):
        if of is None:
            of = operands(
                kind,
                layer.function,
                (args, kwargs),
                is_tensor=is_tensor,
                is_constant=_is_parameter,
                is_trained=_is_parameter,
            )
        return computed(kind, layer.function, (args, kwargs), of, scheme, stored)
    if reads_inside(kind, layer):
        with _WhereItComputes(kind, partial(computed, scheme=scheme, stored=stored)):
            return layer(*args, **kwargs)
    parameters = quantised_parameters(layer, scheme, stored)
    if scheme.data_in is not None:
        args, kwargs = _quantized_inputs(scheme.data_in, args, kwargs)
    if not parameters:
        return layer(*args, **kwargs)
    if "weight" in parameters and not layer.training:
        bias = parameters.get("bias", getattr(layer, "bias", None))
        if stored.exceeds_float(layer, scheme, parameters["weight"], bias):
            return layer_exactly(layer, parameters, args, kwargs)
    return called_with(layer, parameters, args, kwargs)


def quantised_parameters(layer: nn.Module, scheme: Scheme, stored: StoredTensors) -> dict[str, Tensor]:
    """Quantised values by parameter name, of those parameters that have a format."""
    found = {}
    for name, parameter in layer.named_parameters():
        fmt = scheme[parameter_role(name)]
        if fmt is not None:
            found[name] = stored.quantised(name, parameter, fmt)
    return found


def reads_inside(kind: str, module: nn.Module | None) -> bool:
    """Whether formats apply to more, or to other tensors, than a layer's inputs and parameters."""
    return kind in READ_INSIDE or (module is not None and is_more_than_its_class(module))


def is_more_than_its_class(layer: nn.Module) -> bool:
    """Whether a layer of torch's computes with other tensors than its inputs and parameters say.

    That is so where it has hooks, or where something makes its weights (parametrisations, weight_norm,
    pruning). What is no layer of torch's, and registered as one, is taken as it is.
    """
    if registered(layer) or not any(map(is_torchs, type(layer).__mro__)):
        return False
    hooks = [hook for hook in layer._forward_pre_hooks.values() if hook is not _nothing]
    return bool(hooks or layer._forward_hooks or any(is_made(layer, name) for name in ("weight", "bias")))


def is_made(layer: nn.Module, name: str) -> bool:
    """Whether a weight or bias is no parameter but made of others: by a property, or a hook that sets it."""
    if name in layer._parameters:
        return False
    made = isinstance(layer.__dict__.get(name), Tensor)
    return made or isinstance(getattr(type(layer), name, None), property)


def data_of_layer(layer: nn.Module, call: Call) -> tuple[Tensor, ...]:
    """All tensors that data_in applies to when a layer is called, masks left out."""
    kind = layer_type(layer)
    if reads_inside(kind, layer):
        found: list[Tensor] = []

        def collect(kind: str, function: Any, call: Call, of: Sequence[Operand]) -> Any:
            found.extend(data_of_call(kind, function, call, of))
            return function(*call[0], **call[1])

        with _WhereItComputes(kind, collect):
            layer(*call[0], **call[1])
        return tuple(found)
    args, kwargs = call
    others = {name: value for name, value in kwargs.items() if "mask" not in name}
    return tuple(leaf for leaf in tree_leaves((args, others)) if isinstance(leaf, Tensor))


class _WhereItComputes(TorchFunctionMode):
    """Lets `compute` make the first call of a layer's own kind while the layer runs."""

    def __init__(self, kind: str, compute: Callable[[str, Any, Call, Sequence[Operand]], Any]) -> None:
        super().__init__()
        self.kind, self.compute = kind, compute
        self.done = False

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        call = (args, kwargs or {})
        if self.done or not same_kind(layer_type(function), self.kind):
            return function(*args, **call[1])
        self.done = True
        of = operands(
            self.kind, function, call, is_tensor=is_tensor, is_constant=is_tensor, is_trained=is_tensor
        )
        return self.compute(self.kind, function, call, of)


def same_kind(function: str, module: str) -> bool:
    """Whether a function's type is that of a module: batch_norm of batch_norm2d, linear of linear."""
    return function == module or (
        module.startswith(("batch_norm", "instance_norm")) and function == module.rstrip("123d")
    )


def is_tensor(value: Any) -> bool:
    """Whether a leaf of arguments is a tensor."""
    return isinstance(value, Tensor)


def _is_parameter(value: Any) -> bool:
    return isinstance(value, nn.Parameter)


def parameter_role(name: str) -> TensorName:
    """Which format of a scheme a parameter takes: bias, in_proj_bias, bias_ih_l0 … are biases."""
    own = name.rpartition(".")[2]
    return "bias" if own.endswith("bias") or own.startswith(("bias_ih", "bias_hh")) else "weight"


def _quantized_inputs(
    fmt: Format, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The inputs quantised; a tensor that is given twice, as attention to itself does, is quantised once."""
    if not kwargs and len(args) == 1 and isinstance(args[0], Tensor):  # most layers
        return (quantize_input(fmt, args[0]),), kwargs
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
