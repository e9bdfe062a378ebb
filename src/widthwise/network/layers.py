"""Layer types: the names by which configs select layers, and which of them can be quantised."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn

from widthwise.core.errors import unknown

RECURRENT = {"lstm", "gru", "rnn"}
CELLS = {"lstm_cell", "gru_cell", "rnn_cell"}
WEIGHTED = {
    *(f"{kind}{n}d" for kind in ("conv", "conv_transpose", "batch_norm", "instance_norm") for n in (1, 2, 3)),
    *("linear", "bilinear", "layer_norm", "group_norm", "rms_norm", "prelu"),
    *("embedding", "embedding_bag", *RECURRENT, *CELLS),
}
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "sigmoid"),
    *("logsigmoid", "softplus", "softsign", "softmax", "log_softmax", "softmin", "hardtanh", "hardsigmoid"),
    *("hardswish", "hardshrink", "softshrink", "tanhshrink", "threshold", "glu"),
}
POOLING = {f"{kind}{n}d" for kind in ("avg_pool", "adaptive_avg_pool") for n in (1, 2, 3)}
PRODUCTS = {
    *("matmul", "mm", "bmm", "addmm", "baddbmm", "mv", "dot", "einsum"),
    *("inner", "tensordot", "vecdot", "grouped_mm"),
}
ARITHMETIC = {"add", "sub", "mul", "div", "addcmul", "mean", "sum"} | PRODUCTS
FUNCTIONS = {"attention", "batch_norm", "instance_norm"}  # that are no module by this name
QUANTISABLE = WEIGHTED | ACTIVATIONS | POOLING | ARITHMETIC | FUNCTIONS

SPELLINGS = {
    "truediv": "div",
    "true_divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "divide": "div",
    "rsub": "sub",
    "rdiv": "div",
    "linalg_matmul": "matmul",
    "linalg_vecdot": "vecdot",
    "grouped_mm_fallback": "grouped_mm",  # of transformers
    "log_sigmoid": "logsigmoid",
    "scaled_dot_product_attention": "attention",
    "attention_products": "attention",
    "rnn_tanh": "rnn",
    "rnn_relu": "rnn",
    "rnn_tanh_cell": "rnn_cell",
    "rnn_relu_cell": "rnn_cell",
}


class Wrapper(nn.Module):
    """What stands in the place of a layer and counts as it."""

    layer: nn.Module


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


_REGISTERED: dict[type[nn.Module], str] = {}


def register_layer(cls: type[nn.Module], like: str) -> None:
    """Makes modules of this class layers of a type (layer_norm …), selected and counted as torch's own are.

    They are not looked into: the scheme's formats apply to the tensors that the module is called with, and to
    its parameters, of which those whose names end in "bias" are biases. Only recurrent ones (lstm, gru_cell
    …) are, in a network that is recorded as it runs: there the calls that they make stay layers. For modules
    that do not come from a layer of torch, such as a norm of one's own. Raises UserError for a type that
    can't be quantised.
    """
    if like not in WEIGHTED | ACTIVATIONS | POOLING:
        raise unknown("layer type", like, sorted(WEIGHTED | ACTIVATIONS | POOLING))
    _REGISTERED[cls] = like


def registered(module: nn.Module) -> bool:
    """Whether the module is a layer because `register_layer` says so."""
    return any(cls in _REGISTERED for cls in type(module).__mro__)


def layer_type(layer: nn.Module | Callable[..., Any] | str) -> str:
    """The type of a module, a function or a method's name, as configs write it: linear, batch_norm1d, add.

    A subclass of a layer of torch has that layer's type. In-place variants (iadd, relu_) count as the plain
    ones; what a wrapper holds counts, not the wrapper.
    """
    if isinstance(layer, Wrapper):
        return layer_type(layer.layer)
    if isinstance(layer, FunctionLayer):
        return layer_type(layer.function)
    if isinstance(layer, nn.Module):
        return _module_type(type(layer))
    name = layer if isinstance(layer, str) else getattr(layer, "__name__", type(layer).__name__)
    name = name.strip("_")
    if name[:1] == "i" and name[1:] in ARITHMETIC | SPELLINGS.keys():
        name = name[1:]
    return SPELLINGS.get(name, name)


def is_torchs(cls: type) -> bool:
    """Whether a class is one of torch's own layers."""
    return cls.__module__.startswith("torch.nn.modules.")


def _module_type(cls: type[nn.Module]) -> str:
    """By the first of its ancestors that is registered or a quantisable layer of torch, else its own name."""
    for ancestor in cls.__mro__:
        if ancestor in _REGISTERED:
            return _REGISTERED[ancestor]
        if is_torchs(ancestor) and (name := _snake(ancestor.__name__)) in QUANTISABLE:
            return name
    return _snake(cls.__name__)


def _snake(name: str) -> str:
    """BatchNorm1d -> batch_norm1d, ReLU -> relu, LeakyReLU -> leaky_relu, LSTMCell -> lstm_cell."""
    for written, plain in (
        ("ReLU", "Relu"),
        ("GELU", "Gelu"),
        ("SiLU", "Silu"),
        ("ELU", "Elu"),
        ("GLU", "Glu"),
        ("LSTM", "Lstm"),
        ("GRU", "Gru"),
        ("RNN", "Rnn"),
        ("RMSNorm", "RmsNorm"),
        ("LogSigmoid", "Logsigmoid"),
        ("PRelu", "Prelu"),
    ):
        name = name.replace(written, plain)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
