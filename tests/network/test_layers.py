"""Layer types: one name for a module, a function and a method that do the same."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.layers import ACTIVATIONS, ARITHMETIC, POOLING, QUANTISABLE, WEIGHTED, layer_type
from widthwise.network.quantized import FunctionLayer, Quantized
from widthwise.network.scheme import Scheme

MODULES = [
    (nn.Linear(2, 2), "linear"),
    (nn.Bilinear(2, 2, 2), "bilinear"),
    (nn.Conv2d(1, 1, 1), "conv2d"),
    (nn.ConvTranspose3d(1, 1, 1), "conv_transpose3d"),
    (nn.BatchNorm1d(2), "batch_norm1d"),
    (nn.InstanceNorm2d(2), "instance_norm2d"),
    (nn.LayerNorm(2), "layer_norm"),
    (nn.GroupNorm(1, 2), "group_norm"),
    (nn.RMSNorm(2), "rms_norm"),
    (nn.Embedding(2, 2), "embedding"),
    (nn.EmbeddingBag(2, 2), "embedding_bag"),
    (nn.PReLU(), "prelu"),
    (nn.ReLU(), "relu"),
    (nn.ReLU6(), "relu6"),
    (nn.LeakyReLU(), "leaky_relu"),
    (nn.ELU(), "elu"),
    (nn.SELU(), "selu"),
    (nn.CELU(), "celu"),
    (nn.GELU(), "gelu"),
    (nn.GLU(), "glu"),
    (nn.SiLU(), "silu"),
    (nn.Mish(), "mish"),
    (nn.LogSigmoid(), "logsigmoid"),
    (nn.LogSoftmax(dim=1), "log_softmax"),
    (nn.Softplus(), "softplus"),
    (nn.Hardswish(), "hardswish"),
    (nn.Tanhshrink(), "tanhshrink"),
    (nn.AvgPool2d(2), "avg_pool2d"),
    (nn.AdaptiveAvgPool1d(2), "adaptive_avg_pool1d"),
]
FUNCTIONS = [
    (operator.add, "add"),
    (operator.iadd, "add"),
    (torch.add, "add"),
    ("add_", "add"),
    ("__add__", "add"),
    (operator.truediv, "div"),
    (torch.true_divide, "div"),
    (operator.isub, "sub"),
    (torch.multiply, "mul"),
    (operator.matmul, "matmul"),
    (torch.bmm, "bmm"),
    (functional.relu, "relu"),
    (torch.relu_, "relu"),
    ("relu_", "relu"),
    (torch.softmax, "softmax"),
    (functional.log_softmax, "log_softmax"),
    ("mean", "mean"),
    (functional.linear, "linear"),
    (functional.logsigmoid, "logsigmoid"),
    (torch.rsub, "sub"),
    (torch.Tensor.__rsub__, "sub"),
    (torch.Tensor.__rdiv__, "div"),
]
ALONG_ROWS = ("softmax", "log_softmax", "softmin")
CALLS: dict[str, tuple[Callable[..., torch.Tensor], str]] = {
    **{name: (getattr(functional, name), name) for name in sorted(ACTIVATIONS)},
    **{name: (partial(getattr(functional, name), dim=1), name) for name in ALONG_ROWS},
    "threshold": (partial(functional.threshold, threshold=0.0, value=0.0), "threshold"),
    "1 + x": (partial(operator.add, 1.0), "add"),
    "1 - x": (partial(operator.sub, 1.0), "sub"),
    "1 * x": (partial(operator.mul, 1.0), "mul"),
    "1 / x": (partial(operator.truediv, 1.0), "div"),
}


@pytest.mark.parametrize(
    ("module", "name"), MODULES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_module_has_the_name_that_configs_write(module: nn.Module, name: str) -> None:
    assert layer_type(module) == name
    assert name in QUANTISABLE


@pytest.mark.parametrize(("function", "name"), FUNCTIONS)
def test_functions_and_methods_count_as_what_they_do(function: object, name: str) -> None:
    assert layer_type(function) == name  # type: ignore[arg-type]
    assert name in QUANTISABLE


class Calling(nn.Module):
    """A function of x, and a decision that torch.fx can't follow where `decides`."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], *, decides: bool) -> None:
        super().__init__()
        self.function, self.decides = function, decides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.decides and x.isnan().any():
            return x
        return self.function(x)


@pytest.mark.parametrize("decides", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_function_is_the_same_layer_however_it_is_captured(call: str, decides: bool) -> None:
    function, name = CALLS[call]
    graph = Graph(Calling(function, decides=decides), torch.rand(2, 4))
    assert graph.capture == ("running" if decides else "fx")
    assert [(layer.type, layer.tensors) for layer in graph.layers if layer.tensors] == [(name, ("data_in",))]


def test_every_quantisable_type_is_a_module_or_function_of_torch() -> None:
    """A typo in the tables would make a type that no layer ever has."""
    modules = {layer_type_of_class(cls) for cls in vars(nn).values()}
    names = {*modules, *dir(functional), *dir(torch), *dir(torch.linalg), *dir(torch.Tensor), *dir(operator)}
    assert modules >= (WEIGHTED | ACTIVATIONS | POOLING)
    assert names >= ARITHMETIC


def layer_type_of_class(cls: object) -> str:
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        return ""
    return layer_type(object.__new__(cls))


def test_a_wrapper_counts_as_what_it_wraps() -> None:
    assert layer_type(Quantized(nn.Linear(2, 2), Scheme(Integer(4)))) == "linear"
    assert layer_type(FunctionLayer(operator.iadd)) == "add"
    assert layer_type(Quantized(FunctionLayer(torch.softmax), Scheme(Integer(4)))) == "softmax"


def test_a_users_own_module_has_its_class_name_in_snake_case() -> None:
    class JetTagger2(nn.Module):
        pass

    assert layer_type(JetTagger2()) == "jet_tagger2"
    assert re.fullmatch("[a-z0-9_]+", layer_type(JetTagger2()))
    assert layer_type(JetTagger2()) not in QUANTISABLE
