"""What stays in float is told: types without formats, parameters that functions read, layers out of reach."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.network.passes.metadata import propagate
from widthwise.network.passes.unquantised import (
    NEVER,
    Unquantised,
    parameters_in_float,
    shared_weights,
    unquantised,
)


class Mixed(nn.Module):
    """A layer that is known, one that isn't, a parameter that a function reads, a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.known, self.never = nn.Linear(6, 8), nn.Linear(3, 3)
        self.turns = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(self.known(x)).abs() + torch.remainder(self.turns, 3)[:5]


def parts_of(network: nn.Module, x: Tensor) -> dict[str, Unquantised]:
    graph = ww.Graph(network, x)
    return {part.type: part for part in unquantised(graph, propagate(graph, x))}


def test_types_without_formats_are_listed_with_their_reason():
    parts = parts_of(Mixed(), torch.rand(2, 6))
    assert "whose MACs, FLOPs and BOPs are known" in parts["fft_rfft"].reason
    assert parts["abs"].names == ("abs_1",)
    assert parts["Linear"] == Unquantised("Linear", ("never",), 12, 0, NEVER)
    assert "linear" not in parts


def test_everything_that_moves_data_is_left_out():
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(8, 3))
    assert parts_of(network, torch.rand(2, 6)) == {}


def test_a_module_whose_own_code_is_no_layer_is_not_never_called():
    network = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.Linear(8, 3))
    assert parts_of(network, torch.rand(2, 6)) == {}


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_a_scripted_layer_is_out_of_reach_with_its_parameters():
    network = nn.Sequential(torch.jit.script(nn.Linear(6, 8)), nn.Linear(8, 3))
    part = parts_of(network, torch.rand(2, 6))["linear"]
    assert (part.names, part.parameters) == (("0",), 56)
    assert "torch.jit" in part.reason


def test_parameters_in_float_are_counted_but_for_those_never_read():
    parts = [
        Unquantised("pow", ("pow",), 0, 0, "none"),
        Unquantised("odd", ("a", "b", "c", "d"), 1200, 0, "none"),
        Unquantised("Linear", ("never",), 12, 0, NEVER),
    ]
    told = parameters_in_float(parts)
    assert told == "1,200 parameters stay in float: no format applies to a, b, c and 1 more"
    assert parameters_in_float(parts[::2]) == ""


def test_layers_of_one_stored_weight_are_found():
    network = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    network[2].weight = network[0].weight
    assert shared_weights(ww.Graph(network, torch.rand(2, 6))) == (("_0", "_2"),)
