"""Operands: which arguments of a call hold data, and which the network's weights and biases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._pytree import MappingKey, SequenceKey, tree_flatten_with_path

from widthwise.network.layers import ARITHMETIC, CELLS, PRODUCTS, RECURRENT
from widthwise.network.operations import EMBEDDINGS
from widthwise.network.scheme import TensorName

Path = tuple[int | str, ...]  # of an argument: its place or its name, and where it lies inside
Call = tuple[tuple[Any, ...], Mapping[str, Any]]  # positional and named arguments

_SUM = {"input": "data_in", "weight": "weight", "bias": "bias"}
_NORM = {"input": "data_in", "shape": None, "weight": "weight", "bias": "bias"}
_WITH_STATISTICS = {
    "input": "data_in",
    "running_mean": None,
    "running_var": None,
    "weight": "weight",
    "bias": "bias",
}
_STATISTICS_LAST = {"input": "data_in", "weight": "weight", "bias": "bias"}
_ADDED = {"input": "bias", "mat1": "data_in", "mat2": "data_in"}
OWN: Mapping[str, TensorName] = {"own weight": "weight", "own bias": "bias"}
"""Arguments, by names that no function has, in which a call of a layer of one's own holds its parameters."""
SIGNATURES: Mapping[str, Mapping[str, str | None]] = {
    **{f"conv{n}d": _SUM for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _SUM for n in (1, 2, 3)},
    "linear": _SUM,
    "bilinear": {"input1": "data_in", "input2": "data_in", "weight": "weight", "bias": "bias"},
    "embedding": {"input": None, "weight": "weight"},
    "embedding_bag": {"input": None, "weight": "weight"},
    "batch_norm": _WITH_STATISTICS,
    "instance_norm": _WITH_STATISTICS,
    "layer_norm": _NORM,
    "group_norm": _NORM,
    "rms_norm": _NORM,
    "prelu": {"input": "data_in", "weight": "weight"},
    "addmm": _ADDED,
    "baddbmm": _ADDED,
    "addcmul": {"input": "bias", "tensor1": "data_in", "tensor2": "data_in"},
    "grouped_mm": {"mat_a": "data_in", "mat_b": "data_in", "offs": None, "bias": "bias"},
    "attention": {"query": "data_in", "key": "data_in", "value": "data_in"},
}
"""The parameters of functions in their order, each with the tensor of a scheme that it is."""


@dataclass(frozen=True)
class Operand:
    """A tensor among the arguments of a call, and which of a scheme's tensors it is."""

    path: Path
    role: TensorName


def operands(
    kind: str,
    function: Callable[..., Any],
    call: Call,
    *,
    is_tensor: Callable[[Any], bool],
    is_constant: Callable[[Any], bool],
    is_trained: Callable[[Any], bool],
) -> tuple[Operand, ...]:
    """The operands of a call of a function of some kind ("linear", "add"), in their order.

    The predicates say of a leaf of the arguments whether it is a tensor, whether it follows from what the
    network holds alone, and whether a parameter is part of that. A weight or a bias is constant: what else
    stands in its place is data. Of what sums products every constant operand is a weight, of what works
    element by element every trained one: a bias if it is added. Masks are no operands.
    """
    found = []
    for path, leaf in leaves(call):
        if not is_tensor(leaf) or "mask" in str(path[0]):
            continue
        role = _role(kind, function, path, call)
        if role is None:
            continue
        if role in ("weight", "bias") and not is_constant(leaf):
            role = "data_in"
        elif (
            role == "data_in"
            and kind in ARITHMETIC
            and (is_trained(leaf) or (kind in PRODUCTS and is_constant(leaf)))
        ):
            role = "bias" if kind in ("add", "sub") else "weight"
        found.append(Operand(path, role))
    return tuple(found)


_IN_PLACE = {
    "__setitem__",
    "__set__",  # x.data = y
    *(f"__i{name}__" for name in ("add", "sub", "mul", "truediv", "pow", "or", "and")),
}


def changed_argument(function: Callable[..., Any], call: Call) -> Any:
    """The argument that a call changes in place, or several of `out`; None where it changes none."""
    args, kwargs = call
    if kwargs.get("out") is not None:
        return kwargs["out"]
    name = getattr(function, "__name__", "")
    by_name = (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE
    return args[0] if args and (by_name or kwargs.get("inplace")) else None


def leaves(call: Call) -> list[tuple[Path, Any]]:
    """The leaves of the arguments with their paths."""
    args, kwargs = call
    return [(_plain(path[1:]), leaf) for path, leaf in tree_flatten_with_path((tuple(args), dict(kwargs)))[0]]


def in_order(kind: str, function: Callable[..., Any], paths: Sequence[Path]) -> list[int]:
    """The indices of arguments at these paths in the order in which the function has them, not the caller."""
    names = list(_signature(kind, function) or ())

    def place(index: int) -> int:
        key = paths[index][0]
        if isinstance(key, int):
            return key
        return names.index(key) if key in names else _SECOND.get(key, len(names) + len(_SECOND))

    return sorted(range(len(paths)), key=place)


_SECOND = {"input": 0, "self": 0, "other": 1, "mat2": 1, "vec": 1, "tensor": 1, "vec2": 1}  # of products


def at(call: Call, path: Path) -> Any:
    """The argument at a path."""
    value: Any = call[0] if isinstance(path[0], int) else call[1]
    for key in path:
        value = value[key]
    return value


def replaced(call: Call, values: Mapping[Path, Any]) -> Call:
    """The arguments with these in the place of those at the paths."""
    args, kwargs = list(call[0]), dict(call[1])
    for path, value in values.items():
        into: Any = args if isinstance(path[0], int) else kwargs
        into[path[0]] = _put(into[path[0]], path[1:], value)
    return tuple(args), kwargs


def _put(holder: Any, path: Path, value: Any) -> Any:
    """A copy of nested lists, tuples and dicts with the value at a path."""
    if not path:
        return value
    if isinstance(holder, Mapping):
        return {**holder, path[0]: _put(holder[path[0]], path[1:], value)}
    position = path[0]
    assert isinstance(position, int)
    items = list(holder)
    items[position] = _put(items[position], path[1:], value)
    return items if isinstance(holder, list) else tuple(items)


def _plain(path: Sequence[Any]) -> Path:
    return tuple(key.idx if isinstance(key, SequenceKey) else _named(key) for key in path)


def _named(key: Any) -> str:
    return str(key.key) if isinstance(key, MappingKey) else str(key)


def _role(kind: str, function: Callable[..., Any], path: Path, call: Call) -> TensorName | None:
    if OWN.keys() & call[1].keys():
        return OWN.get(str(path[0]), None if kind in EMBEDDINGS else "data_in")
    if kind in RECURRENT | CELLS:
        return _recurrent_role(kind, path, call)
    signature = _signature(kind, function)
    if signature is None:
        return "data_in"
    key = path[0]
    names = list(signature)
    name = key if isinstance(key, str) else (names[key] if key < len(names) else "")
    role: Any = signature.get(name)
    return role  # type: ignore[no-any-return]


def _signature(kind: str, function: Callable[..., Any]) -> Mapping[str, str | None] | None:
    base = kind[:-2] if kind.startswith(("batch_norm", "instance_norm")) and kind.endswith("d") else kind
    if function in (torch.batch_norm, torch.instance_norm):
        return _STATISTICS_LAST
    return SIGNATURES.get(base)


def _recurrent_role(kind: str, path: Path, call: Call) -> TensorName | None:
    """Of (inputs, state, weights, has biases …), or of a cell's (input, state, w_ih, w_hh, b_ih, b_hh)."""
    if path[0] == 0:
        return "data_in"
    if kind in CELLS:
        names: dict[Any, TensorName] = {2: "weight", 3: "weight", 4: "bias", 5: "bias"}
        return names.get(path[0])
    args = call[0]
    at_weights = 3 if isinstance(args[3], list | tuple) else 2  # packed sequences have one argument more
    if path[0] != at_weights or len(path) < 2:
        return None
    has_biases, layers, _, _, both_ways = args[at_weights + 1 : at_weights + 6]
    each = len(args[at_weights]) // (layers * (2 if both_ways else 1))  # tensors of a layer's direction
    place = int(path[1]) % each
    return "bias" if has_biases and place in (2, 3) else "weight"
