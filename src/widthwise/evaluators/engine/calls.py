"""Calls of a graph's nodes, and the kernel that computes each for all its versions at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from widthwise.evaluators.engine.arguments import Read, reads_in
from widthwise.evaluators.engine.kernels import Arithmetic, EachVersion, Folded, Kernel, Pointwise
from widthwise.evaluators.engine.parameters import Layers, Parameter
from widthwise.network.layers import ACTIVATIONS, POOLING

# these mix neighbours along an axis, so they are not element by element
POINTWISE = (ACTIVATIONS - {"softmax", "log_softmax", "softmin", "glu"}) | {"identity", "dropout"}
MAX_POOLING = {f"{kind}{n}d" for kind in ("max_pool", "adaptive_max_pool") for n in (1, 2, 3)}
SAMPLEWISE = (
    {f"{kind}{n}d" for kind in ("conv", "conv_transpose", "batch_norm") for n in (1, 2, 3)}
    | {"linear", "layer_norm", "group_norm", "rms_norm", "embedding", "prelu", "flatten"}
    | POOLING
    | MAX_POOLING
)
BINARY = {"add", "sub", "mul", "div"}
# functions that compute the same whatever the order of axes in memory
ANY_LAYOUT = (
    BINARY
    | POINTWISE
    | SAMPLEWISE
    | {"cat", "chunk", "split", "batch_norm", "mean", "sum", "softmax", "getattr", "getitem", "size"}
    | {"permute", "transpose", "reshape"}
)

ACTIVATION_MODULES = nn.ReLU.__module__
IN_PLACE_OPERATORS = {"iadd", "isub", "imul", "itruediv", "ipow", "ior", "iand", "ixor", "imatmul"}


@dataclass(frozen=True)
class OnCopy:
    """A call that changes its first argument, kept from values that others may still read."""

    call: Callable[..., Any]

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return self.call(x.clone() if isinstance(x, Tensor) else x, *args, **kwargs)


def out_of_place(call: Callable[..., Any]) -> Callable[..., Any]:
    """What gives the result of a call that works in place, and leaves its argument as it is."""
    if type(call).__module__ != ACTIVATION_MODULES or not getattr(call, "inplace", False):
        return OnCopy(call)
    made = copy.copy(call)  # torch's own activations compute the same into new memory, without copying first
    made.inplace = False  # type: ignore[attr-defined]
    return made


@dataclass(frozen=True)
class Bound:
    """A call of one tensor, with its other arguments in place."""

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __call__(self, x: Tensor) -> Any:
        return self.call(x, *self.args, **self.kwargs)


def in_place(call: Callable[..., Any], node: fx.Node) -> bool:
    """Whether the call changes its first argument."""
    if getattr(call, "inplace", False) or node.kwargs.get("inplace"):
        return True
    name = getattr(call, "__name__", "")
    return name in IN_PLACE_OPERATORS or (name.endswith("_") and not name.endswith("__"))


def choose_kernel(
    call: Callable[..., Any],
    kind: str,
    template: tuple[tuple[Any, ...], Mapping[str, Any]],
    parameters: Mapping[str, tuple[int, Parameter]],
    examples: Sequence[Any],
    value: Any,
) -> Kernel:
    """The fastest kernel that is right for a call of a layer type, with `Read(i)` in its arguments.

    parameters: those that have versions. examples, value: what the float network reads and computes.
    """
    args, kwargs = template
    reads = reads_in((args, dict(kwargs)))
    if len(reads) == 1 and args and args[0] == reads[0] and isinstance(examples[0], Tensor):
        if kind in POINTWISE and not parameters:
            return Pointwise(_bound(call, args, kwargs))
        alone = len(args) == 1 and not kwargs  # conv_transpose may be told its output_size
        apart = kind in SAMPLEWISE and _keeps_samples_apart(call, kind, args, examples[0], value)
        if apart and (alone or not parameters):
            return Folded(Layers(call, parameters) if alone else Layers(_bound(call, args, kwargs)))
    if kind in BINARY and not kwargs and _of_equal_ranks(args, examples):
        return Arithmetic(call, (args[0].index, args[1].index))
    return EachVersion(Layers(call, parameters), args, kwargs, _dense(kind, examples))


def _dense(kind: str, examples: Sequence[Any]) -> frozenset[int]:
    """The inputs that have to lie in memory in order, as they do in the float network: views ask for that."""
    if kind in ANY_LAYOUT:
        return frozenset()
    images = [i for i, x in enumerate(examples) if isinstance(x, Tensor) and x.ndim == 4]
    return frozenset(i for i in images if kind == "view" or examples[i].is_contiguous())


def _bound(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Callable[..., Any]:
    return Bound(call, args[1:], kwargs) if len(args) > 1 or kwargs else call


def _keeps_samples_apart(
    call: Callable[..., Any], kind: str, args: tuple[Any, ...], example: Tensor, value: Any
) -> bool:
    """Whether the call acts on batches along the first axis, each sample by itself."""
    if kind == "flatten":
        start = call.start_dim if isinstance(call, nn.Flatten) else (args[1] if len(args) > 1 else 0)
        if not isinstance(start, int) or start < 1:
            return False
    elif not isinstance(call, nn.Module) and kind not in POOLING | MAX_POOLING:
        return False  # a function of parameters, whose samples are not its first argument's alone
    elif kind.startswith("batch_norm") and getattr(call, "running_mean", None) is None:
        return False  # normalises by the batch that it is given
    return isinstance(value, Tensor) and example.ndim > 1 and len(example) == len(value)


def _of_equal_ranks(args: tuple[Any, ...], examples: Sequence[Any]) -> bool:
    if len(args) != 2 or not all(isinstance(arg, Read) for arg in args):
        return False
    left, right = (examples[arg.index] for arg in args)
    return isinstance(left, Tensor) and isinstance(right, Tensor) and left.ndim == right.ndim > 0
