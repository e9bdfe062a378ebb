"""Recurrent layers step by step, against torch's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.overrides import TorchFunctionMode
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from widthwise.core.errors import UserError
from widthwise.network.counting import _recurrent
from widthwise.network.recurrent import cell_function, unrolled_function

FUNCTIONS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


class Reading(TorchFunctionMode):
    """Computes recurrent layers step by step, what their products read through `read`."""

    def __init__(self, read: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.read = read

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name in FUNCTIONS:
            return unrolled_function(function, self.read, *args)
        if name.endswith("_cell"):
            return cell_function(function, self.read, *args)
        return function(*args, **(kwargs or {}))


def run(layer: nn.Module, read: Callable[[Tensor], Tensor], *given: Any) -> Any:
    with Reading(read):
        return layer(*given)


def same(data: Tensor) -> Tensor:
    return data


@pytest.mark.parametrize(
    "made",
    [
        (nn.LSTM, {}),
        (nn.LSTM, {"proj_size": 3}),
        (nn.GRU, {}),
        (nn.RNN, {}),
        (nn.RNN, {"nonlinearity": "relu"}),
    ],
)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layout", ["batch first", "steps first", "single"])
@pytest.mark.parametrize("given", [False, True])
def test_unrolled_equals_torch(
    made: tuple[Any, dict[str, Any]], layers: int, bidirectional: bool, bias: bool, layout: str, given: bool
) -> None:
    torch.manual_seed(0)
    options = {"bidirectional": bidirectional, "bias": bias, "batch_first": layout == "batch first"}
    layer = made[0](4, 5, layers, **options, **made[1]).double().eval()
    inputs = torch.randn((6, 4) if layout == "single" else (2, 6, 4), dtype=torch.float64)
    state = None
    if given:
        _, zeros = layer(inputs)
        state = tuple(map(torch.randn_like, zeros)) if isinstance(zeros, tuple) else torch.randn_like(zeros)
    assert_close(run(layer, same, inputs, state), layer(inputs, state), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("made", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_a_cell_equals_torch(made: Any, shape: tuple[int, ...]) -> None:
    cell, inputs = made(4, 5).double(), torch.randn(shape, dtype=torch.float64)
    state = cell(inputs)
    assert_close(run(cell, same, inputs), state, rtol=1e-12, atol=1e-12)
    assert_close(run(cell, same, inputs, state), cell(inputs, state), rtol=1e-12, atol=1e-12)


def test_the_cell_state_is_never_read() -> None:
    seen: list[Tensor] = []

    def read(data: Tensor) -> Tensor:
        seen.append(data)
        return data

    cell, (h, c) = nn.LSTMCell(4, 5), (torch.zeros(2, 5), torch.ones(2, 5))
    inputs = torch.randn(2, 4)
    run(cell, read, inputs, (h, c))
    assert [data.data_ptr() for data in seen] == [inputs.data_ptr(), h.data_ptr()]


def test_a_packed_input_is_refused() -> None:
    with pytest.raises(UserError, match="packed sequences"):
        run(nn.GRU(4, 5), same, pack_sequence([torch.randn(3, 4)]))


@pytest.mark.parametrize("made", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_count_of_macs_is_that_of_the_products(made: Any, bidirectional: bool) -> None:
    layer, inputs = made(4, 5, 3, bidirectional=bidirectional, batch_first=True), torch.randn(1, 7, 4)
    with FlopCounterMode(display=False) as counter:
        run(layer, same, inputs)
    assert _recurrent(layer, (1, 7, 4)).macs == counter.get_total_flops() // 2
