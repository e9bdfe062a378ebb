"""What a node computes, against torch's own counter of flops and closed forms."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from widthwise.formats import from_config
from widthwise.network.counting import node_cost, parameter_cost
from widthwise.network.quantized import FunctionLayer, Quantized
from widthwise.network.scheme import Scheme

BATCH = 3


def counted_by_torch(call: Callable[..., Any], *inputs: Tensor) -> tuple[int, torch.Size]:
    """MACs of the batch as torch counts them (half its flops), and the output's shape."""
    with (
        FlopCounterMode(display=False) as counter,
        torch.enable_grad(),
    ):  # attention's fast path isn't counted
        result = call(*inputs)
    return counter.get_total_flops() // 2, (result[0] if isinstance(result, tuple) else result).shape


MODULES: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(16, 5), (16,)),
    (nn.Linear(16, 5, bias=False), (7, 16)),
    (nn.Conv1d(4, 6, 3, stride=2, padding=1), (4, 11)),
    (nn.Conv2d(4, 6, (3, 5), groups=2), (4, 9, 11)),
    (nn.Conv2d(6, 6, 3, groups=6, dilation=2, padding=2), (6, 9, 11)),
    (nn.Conv3d(2, 3, 3), (2, 5, 6, 7)),
    (nn.ConvTranspose1d(4, 6, 3, stride=2), (4, 11)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (4, 5, 6)),
    (nn.ConvTranspose3d(2, 3, 3), (2, 3, 4, 5)),
    (nn.BatchNorm2d(4), (4, 5, 6)),
    (nn.ReLU(), (7,)),
    (nn.MaxPool2d(2), (4, 6, 8)),
    (nn.Flatten(), (4, 6, 8)),
]


@pytest.mark.parametrize(("layer", "shape"), MODULES, ids=lambda value: str(value)[:40])
def test_macs_of_modules_are_half_of_what_torch_counts(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.zeros(BATCH, *shape)
    macs, output = counted_by_torch(layer.eval(), x)
    cost = node_cost(layer, [x.shape], output)
    assert cost.macs * BATCH == macs
    assert cost.outputs * BATCH == output.numel()
    assert cost.counted


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.booleans(),
)
def test_macs_of_any_convolution(
    groups: int, inputs: int, outputs: int, kernel: int, padding: int, transposed: bool
) -> None:
    made = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = made(
        groups * inputs, groups * outputs, kernel, stride=2, padding=min(padding, kernel - 1), groups=groups
    )
    x = torch.zeros(2, groups * inputs, 6, 7)
    macs, output = counted_by_torch(layer, x)
    assert node_cost(layer, [x.shape], output).macs * 2 == macs


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("kdim", "vdim"), [(None, None), (5, 7)])
def test_macs_of_attention_between_sequences(batch_first: bool, kdim: int | None, vdim: int | None) -> None:
    layer = nn.MultiheadAttention(8, 2, kdim=kdim, vdim=vdim, batch_first=batch_first)
    query, key, value = (
        torch.zeros(BATCH, 6, 8),
        torch.zeros(BATCH, 4, kdim or 8),
        torch.zeros(BATCH, 4, vdim or 8),
    )
    tensors = (query, key, value) if batch_first else tuple(t.transpose(0, 1) for t in (query, key, value))
    macs, output = counted_by_torch(layer, *tensors)
    cost = node_cost(layer, [t.shape for t in tensors], output, batch=BATCH)
    assert cost.macs * BATCH == macs
    assert cost.weight_elements + cost.bias_elements == sum(p.numel() for p in layer.parameters())


def test_self_attention_given_once_is_that_given_three_times() -> None:
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True), (BATCH, 6, 8)
    assert node_cost(layer, [x], x) == node_cost(layer, [x, x, x], x)


FUNCTIONS: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
    (torch.matmul, [(BATCH, 4, 5), (BATCH, 5, 6)]),
    (torch.matmul, [(BATCH, 2, 4, 5), (5, 6)]),
    (operator.matmul, [(BATCH, 5), (5, 6)]),
    (torch.bmm, [(BATCH, 4, 5), (BATCH, 5, 6)]),
    (torch.baddbmm, [(BATCH, 4, 6), (BATCH, 4, 5), (BATCH, 5, 6)]),
    (torch.addmm, [(6,), (BATCH, 5), (5, 6)]),
    (functional.linear, [(BATCH, 5), (6, 5), (6,)]),
    (functional.conv2d, [(BATCH, 4, 6, 6), (5, 4, 3, 3)]),
    (functional.scaled_dot_product_attention, [(BATCH, 2, 6, 4), (BATCH, 2, 5, 4), (BATCH, 2, 5, 3)]),
    (operator.add, [(BATCH, 5), (BATCH, 5)]),
    (functional.relu, [(BATCH, 5)]),
    (torch.flatten, [(BATCH, 5, 2)]),
]


@pytest.mark.parametrize(
    ("function", "shapes"), FUNCTIONS, ids=lambda value: getattr(value, "__name__", None)
)
def test_macs_of_functions_are_half_of_what_torch_counts(
    function: Callable[..., Any], shapes: list[tuple[int, ...]]
) -> None:
    macs, output = counted_by_torch(function, *(torch.zeros(shape) for shape in shapes))
    cost = node_cost(function, shapes, output, batch=BATCH)
    assert cost.macs * BATCH == macs
    assert cost.counted


def test_a_method_is_counted_by_its_name() -> None:
    shapes, output = [(BATCH, 4, 5), (BATCH, 5, 6)], (BATCH, 4, 6)
    assert node_cost("matmul", shapes, output) == node_cost(torch.matmul, shapes, output)


@pytest.mark.parametrize("made", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_multiply_with_every_weight_at_every_step(made: type[nn.RNNBase]) -> None:
    layer = made(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    cost = node_cost(layer, [(BATCH, 7, 3)], (BATCH, 7, 8))
    weights = sum(p.numel() for name, p in layer.named_parameters() if "weight" in name)
    assert cost.macs == 7 * weights
    assert cost.weight_elements + cost.bias_elements == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize(
    ("operation", "inputs", "output", "flops"),
    [
        (nn.Linear(4, 5), (2, 4), (2, 5), 5),
        (nn.Linear(4, 5, bias=False), (2, 4), (2, 5), 0),
        (nn.BatchNorm1d(4), (2, 4), (2, 4), 8),
        (nn.LayerNorm(4), (2, 3, 4), (2, 3, 4), 7 * 12),
        (nn.RMSNorm(4), (2, 3, 4), (2, 3, 4), 4 * 12),
        (nn.GELU(), (2, 4), (2, 4), 4),
        (nn.Softmax(1), (2, 4), (2, 4), 12),
        (nn.AvgPool2d(2), (2, 3, 4, 6), (2, 3, 2, 3), 3 * 24),
        (nn.MaxPool2d((1, 3)), (2, 3, 4, 6), (2, 3, 4, 2), 3 * 24),
        (functional.max_pool2d, (2, 3, 4, 6), (2, 3, 2, 3), 3 * 24),
        (nn.AdaptiveAvgPool2d(1), (2, 3, 4, 6), (2, 3, 1, 1), 3 * 24),
        (torch.mean, (2, 3, 4), (2, 3), 12),
        (operator.add, (2, 4), (2, 4), 4),
        (nn.Dropout(), (2, 4), (2, 4), 0),
        (nn.Embedding(10, 4), (2, 3), (2, 3, 4), 0),
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_arithmetic_of_one_sample(
    operation: Any, inputs: tuple[int, ...], output: tuple[int, ...], flops: int
) -> None:
    cost = node_cost(operation, [inputs], output)
    assert (cost.other_flops, cost.counted) == (flops, True)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(4, 5), (20, 5, 0, 0, True)),
        (nn.Conv2d(2, 3, 3), (54, 3, 0, 0, True)),
        (nn.Embedding(10, 4), (40, 0, 0, 0, True)),
        (nn.BatchNorm1d(4), (4, 4, 0, 8, False)),  # running mean and variance, not the step counter
        (nn.BatchNorm1d(4, affine=False), (0, 0, 0, 8, False)),
        (nn.LayerNorm(4), (4, 4, 0, 0, False)),
    ],
    ids=str,
)
def test_what_a_layer_stores(layer: nn.Module, expected: tuple[int, int, int, int, bool]) -> None:
    cost = node_cost(layer, [(2, 4)], (2, 4))
    stored = (cost.weight_elements, cost.bias_elements, cost.other_parameters, cost.buffer_elements)
    assert (*stored, cost.averaged) == expected


def test_fan_in_is_the_number_of_products_of_an_output() -> None:
    assert node_cost(nn.Linear(16, 5), [(1, 16)], (1, 5)).fan_in == 16
    assert node_cost(nn.Conv2d(8, 4, 3, groups=2), [(1, 8, 5, 5)], (1, 4, 3, 3)).fan_in == 4 * 9
    assert node_cost(torch.bmm, [(2, 4, 5), (2, 5, 6)], (2, 4, 6)).fan_in == 5
    assert node_cost(nn.ConvTranspose1d(6, 2, 4, stride=2), [(1, 6, 50)], (1, 2, 102)).fan_in == 12


def test_wrappers_count_as_what_they_hold() -> None:
    scheme = Scheme(weight=from_config({"name": "integer", "width": 8, "frac_width": 4}))
    layer = nn.Linear(4, 5)
    assert node_cost(Quantized(layer, scheme), [(2, 4)], (2, 5)) == node_cost(layer, [(2, 4)], (2, 5))
    shapes, output = [(2, 4), (2, 4)], (2, 4)
    wrapped = Quantized(FunctionLayer(operator.add), scheme)
    assert node_cost(wrapped, shapes, output) == node_cost(operator.add, shapes, output)


def test_an_unknown_operation_says_so_and_its_parameters_count() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

    cost = node_cost(Own(), [(2, 4)], (2, 4))
    assert (cost.counted, cost.macs, cost.other_parameters) == (False, 0, 4)
    assert not node_cost(torch.fft.fft, [(2, 4)], (2, 4)).counted


def test_work_that_no_sample_has_alone_is_rounded_up() -> None:
    assert node_cost(operator.add, [(1, 5), (1, 5)], (1, 5), batch=4).other_flops == 2


def test_parameters_and_buffers_that_code_reads_itself() -> None:
    assert parameter_cost(nn.Parameter(torch.ones(3, 4))).other_parameters == 12
    assert parameter_cost(torch.ones(3, 4)).buffer_elements == 12
