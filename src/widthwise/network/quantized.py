"""Computing with a scheme: one way for every call, and one wrapper for every layer, gradients included."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through
from widthwise.network.attention import quantised_products
from widthwise.network.exactness import SUMS, exactly, exceeds_float, layer_exactly, may_exceed_float
from widthwise.network.holding import called_with, is_jit_tracing
from widthwise.network.layers import (
    CELLS,
    RECURRENT,
    FunctionLayer,
    Wrapper,
    is_torchs,
    layer_type,
    registered,
)
from widthwise.network.operands import Call, Operand, at, changed_argument, operands, replaced
from widthwise.network.recurrent import cell_function, unrolled_function
from widthwise.network.scheme import Scheme, TensorName
from widthwise.network.seen import check_seen


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


def computed(
    kind: str,
    function: Callable[..., Any],
    call: Call,
    of: Sequence[Operand],
    scheme: Scheme,
    stored: StoredTensors,
    name: Hashable = "",
    *,
    read: Callable[[Format, Tensor], Tensor] | None = None,
) -> Any:
    """What a call of a function of some kind gives whose operands `of` are read through a scheme's formats.

    `name` tells the calls that share `stored` apart. Inside attention and recurrent layers whatever the
    products read is in the format of data_in. What works in place changes its argument to the result. read:
    how data is read in a format, where that is not simply quantised.
    """
    read = read or quantize_input
    values = {}
    for operand in of:
        fmt, value = scheme[operand.role], at(call, operand.path)
        if fmt is None:
            continue
        if operand.role != "data_in":
            values[operand.path] = stored.quantised((name, operand.path), value, fmt)
        elif kind not in _READ_INSIDE:  # one operand may be several tensors, or a number read out of one
            values[operand.path] = tree_map_only(Tensor, partial(_read_float, read, fmt), value)
    args, kwargs = replaced(call, values) if values else call
    inside = _READ_INSIDE.get(kind)
    if inside is not None and scheme.data_in is not None:
        return inside(function, partial(read, scheme.data_in), *args, **kwargs)
    if _exceeds_float(kind, (args, kwargs), of, scheme, stored):
        return exactly(function, args, kwargs)
    changed = changed_argument(function, call)
    if changed is None or not values:
        return function(*args, **kwargs)
    result = function(args[0].clone(), *args[1:], **kwargs)  # others may read the quantised copy
    return result if torch.is_grad_enabled() else changed.copy_(result)


def _exceeds_float(
    kind: str, call: Call, of: Sequence[Operand], scheme: Scheme, stored: StoredTensors
) -> bool:
    """Whether a function of quantised operands sums more bits than float32 holds."""
    if kind not in SUMS:
        return False
    held = {operand.role: at(call, operand.path) for operand in of if operand.role != "data_in"}
    weight, bias = held.get("weight"), held.get("bias")
    return isinstance(weight, Tensor) and stored.exceeds_float(kind, scheme, weight, bias)


def _read_float(read: Callable[[Format, Tensor], Tensor], fmt: Format, x: Tensor) -> Tensor:
    return read(fmt, x) if x.is_floating_point() else x


def data_of_call(
    kind: str, function: Callable[..., Any], call: Call, of: Sequence[Operand]
) -> tuple[Tensor, ...]:
    """All tensors that data_in applies to in a call of a function, also inside attention and the like."""
    inside = _READ_INSIDE.get(kind)
    if inside is None:
        data = [at(call, operand.path) for operand in of if operand.role == "data_in"]
        return tuple(leaf for leaf in tree_leaves(data) if isinstance(leaf, Tensor))
    read: list[Tensor] = []
    inside(function, partial(_noted, read), *call[0], **call[1])
    return tuple(read)


def _noted(read: list[Tensor], x: Tensor) -> Tensor:
    read.append(x)
    return x


def _attention(_: Any, read: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
    return quantised_products(read, *args, **kwargs)


_READ_INSIDE: dict[str, Callable[..., Any]] = {
    "attention": _attention,
    **dict.fromkeys(RECURRENT, unrolled_function),
    **dict.fromkeys(CELLS, cell_function),
}


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
    return kind in _READ_INSIDE or (module is not None and is_more_than_its_class(module))


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


def quantize_input(fmt: Format, x: Tensor) -> Tensor:
    """x through the format where it holds floats; indices and masks as they are."""
    if not x.is_floating_point():
        return x
    y = straight_through(fmt, x)
    # autograd lets no layer work in place on a view that a function of ours made
    return y.clone() if y.requires_grad and y._is_view() else y


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
