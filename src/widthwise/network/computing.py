"""Computing with a scheme: one way for every call of a function, gradients included."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from widthwise.formats.base import Format
from widthwise.formats.gradient import straight_through
from widthwise.network.attention import quantised_products
from widthwise.network.exactness import SUMS, exactly
from widthwise.network.layers import CELLS, RECURRENT
from widthwise.network.operands import Call, Operand, at, changed_argument, replaced
from widthwise.network.recurrent import cell_function, unrolled_function
from widthwise.network.scheme import Scheme
from widthwise.network.stored_tensors import StoredTensors


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
        elif kind not in READ_INSIDE:  # one operand may be several tensors, or a number read out of one
            values[operand.path] = tree_map_only(Tensor, partial(_read_float, read, fmt), value)
    args, kwargs = replaced(call, values) if values else call
    inside = READ_INSIDE.get(kind)
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
    inside = READ_INSIDE.get(kind)
    if inside is None:
        data = [at(call, operand.path) for operand in of if operand.role == "data_in"]
        return tuple(leaf for leaf in tree_leaves(data) if isinstance(leaf, Tensor))
    read: list[Tensor] = []
    inside(function, partial(_noted, read), *call[0], **call[1])
    return tuple(read)


def _noted(read: list[Tensor], x: Tensor) -> Tensor:
    read.append(x)
    return x


def quantize_input(fmt: Format, x: Tensor) -> Tensor:
    """x through the format where it holds floats; indices and masks as they are."""
    if not x.is_floating_point():
        return x
    y = straight_through(fmt, x)
    # autograd lets no layer work in place on a view that a function of ours made
    return y.clone() if y.requires_grad and y._is_view() else y


def _attention(_: Any, read: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
    return quantised_products(read, *args, **kwargs)


READ_INSIDE: dict[str, Callable[..., Any]] = {
    "attention": _attention,
    **dict.fromkeys(RECURRENT, unrolled_function),
    **dict.fromkeys(CELLS, cell_function),
}
