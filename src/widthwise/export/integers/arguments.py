"""How layers and functions are set: their arguments by name, whichever way the network gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise.network.layer import Layer

SAME_ORDER = {"flatten", "unflatten", "view", "reshape", "squeeze", "unsqueeze"}
POOLS = {"max_pool1d", "max_pool2d"}
DOES_NOTHING = {
    *("identity", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"),
    *("clone", "detach", "contiguous"),
}
_CONVOLUTION = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_POOLING = {
    "kernel_size": 1,
    "stride": None,
    "padding": 0,
    "dilation": 1,
    "ceil_mode": False,
    "return_indices": False,
}
# of functions, behind the tensors that come first: how many these are, then names with their defaults
_FUNCTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    **dict.fromkeys(("conv1d", "conv2d"), (("input", "weight", "bias"), _CONVOLUTION)),
    **dict.fromkeys(POOLS, (("input",), _POOLING)),
}


def arguments(layer: Layer) -> dict[str, Any]:
    """What a convolution or pooling is set to, by the names of torch's modules."""
    tensors, defaults = _FUNCTIONS[layer.type]
    if layer.module is not None:
        return {
            name: getattr(layer.module, name)
            for name in (*defaults, "padding_mode")
            if hasattr(layer.module, name)
        }
    names = (*tensors, *defaults)
    given = dict(zip(names, layer.node.args, strict=False)) | dict(layer.node.kwargs)
    return {name: given.get(name, default) for name, default in defaults.items()}


def pair(value: Any, of_height: int, *, flat: bool) -> tuple[int, int]:
    """(vertical, horizontal) of one number or one for each axis; flat: of a signal, whose vertical one it has
    not."""
    numbers = (int(value),) if isinstance(value, int) else tuple(int(number) for number in value)
    if flat:
        return of_height, numbers[0]
    return (numbers[0], numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1])
