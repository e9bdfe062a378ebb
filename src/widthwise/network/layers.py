"""Layer types: the names by which configs select layers, and which of them can be quantised."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from torch import nn

from widthwise.network.quantized import FunctionLayer, Quantized

WEIGHTED = {
    *(f"{kind}{n}d" for kind in ("conv", "conv_transpose", "batch_norm", "instance_norm") for n in (1, 2, 3)),
    *("linear", "bilinear", "layer_norm", "group_norm", "rms_norm", "embedding", "embedding_bag"),
    *("multihead_attention", "prelu"),
}
ACTIVATIONS = {
    *("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "sigmoid"),
    *("logsigmoid", "softplus", "softsign", "softmax", "log_softmax", "softmin", "hardtanh", "hardsigmoid"),
    *("hardswish", "hardshrink", "softshrink", "tanhshrink", "threshold", "glu"),
}
POOLING = {f"{kind}{n}d" for kind in ("avg_pool", "adaptive_avg_pool") for n in (1, 2, 3)}
ARITHMETIC = {"add", "sub", "mul", "div", "matmul", "bmm", "baddbmm", "addmm", "einsum", "mean", "sum"}
QUANTISABLE = WEIGHTED | ACTIVATIONS | POOLING | ARITHMETIC

SPELLINGS = {
    "truediv": "div",
    "true_divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "divide": "div",
    "scaled_dot_product_attention": "attention",
}


def layer_type(layer: nn.Module | Callable[..., Any] | str) -> str:
    """The type of a module, a function or a method's name, as configs write it: linear, batch_norm1d, add.

    In-place variants (iadd, relu_) count as the plain ones; what a Quantized wraps counts, not the wrapper.
    """
    if isinstance(layer, Quantized):
        return layer_type(layer.layer)
    if isinstance(layer, FunctionLayer):
        return layer_type(layer.function)
    if isinstance(layer, nn.Module):
        return _snake(type(layer).__name__)
    name = layer if isinstance(layer, str) else getattr(layer, "__name__", type(layer).__name__)
    name = name.strip("_")
    if name[:1] == "i" and name[1:] in ARITHMETIC | SPELLINGS.keys():
        name = name[1:]
    return SPELLINGS.get(name, name)


def _snake(name: str) -> str:
    """BatchNorm1d -> batch_norm1d, ReLU -> relu, LeakyReLU -> leaky_relu."""
    for written, plain in (
        ("ReLU", "Relu"),
        ("GELU", "Gelu"),
        ("SiLU", "Silu"),
        ("ELU", "Elu"),
        ("GLU", "Glu"),
    ):
        name = name.replace(written, plain)
    name = name.replace("RMSNorm", "RmsNorm").replace("LogSigmoid", "Logsigmoid").replace("PRelu", "Prelu")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
