"""Weights that functions read: they have formats, and count, as those of layers do."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.emulation import (
    ALL,
    WIDTHS,
    assert_rows_equal,
    config,
    fixed,
    images,
    loss_of,
    made_twice,
    rows,
    sequences,
    words,
)
from helpers.networks import functional as networks
from helpers.networks.reparametrised import around

WEIGHT, LAYER = ("weight",), {"linear": ALL}
NO_BIAS = ("data_in", "weight")
FEATURES: dict[
    type[nn.Module], tuple[dict[str, tuple[str, ...]], int]
] = {  # types, and weights that are stored
    networks.ByLinear: (LAYER, 2),
    networks.ByLinearWithBias: (LAYER, 2),
    networks.ByTransposedView: (LAYER, 2),
    networks.ByScaledWeight: (LAYER, 2),
    networks.FromList: ({"linear": NO_BIAS}, 2),
    networks.FromDict: ({"linear": NO_BIAS}, 2),
    networks.Frozen: (LAYER, 2),
    networks.Sliced: (LAYER, 2),
    networks.ByMatmulOperator: ({"matmul": NO_BIAS} | LAYER, 2),
    networks.ByMatmulTransposed: ({"matmul": NO_BIAS} | LAYER, 2),
    networks.ByMatmulFromTheLeft: ({"matmul": NO_BIAS} | LAYER, 2),
    networks.ByMatmulMethod: ({"matmul": NO_BIAS} | LAYER, 2),
    networks.ByMm: ({"mm": NO_BIAS} | LAYER, 2),
    networks.ByAddmm: ({"addmm": ALL} | LAYER, 2),
    networks.ByEinsum: ({"einsum": NO_BIAS} | LAYER, 2),
    networks.ByBmm: ({"bmm": NO_BIAS} | LAYER, 2),
    networks.OfBilinear: ({"bilinear": ALL} | LAYER, 2),
}
PICTURES: dict[type[nn.Module], tuple[dict[str, tuple[str, ...]], int]] = {
    networks.ByConvolution: ({"conv2d": ALL} | LAYER, 2),
    networks.ByTransposedConvolution: ({"conv_transpose2d": NO_BIAS} | LAYER, 2),
    networks.DynamicDepthwise: ({"conv2d": NO_BIAS} | LAYER, 2),
}
RECURRENT: dict[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: networks.Recurrent(nn.LSTM),
    "GRU": lambda: networks.Recurrent(nn.GRU),
    "RNN": lambda: networks.Recurrent(nn.RNN),
    "two layers": lambda: networks.Recurrent(nn.LSTM, num_layers=2),
    "both directions": lambda: networks.Recurrent(nn.GRU, bidirectional=True),
    "no biases": lambda: networks.Recurrent(nn.LSTM, bias=False),
    "projected": lambda: networks.Recurrent(nn.LSTM, proj_size=2),
    "LSTMCell": lambda: networks.Stepwise(nn.LSTMCell),
    "GRUCell": lambda: networks.Stepwise(nn.GRUCell),
    "RNNCell": lambda: networks.Stepwise(nn.RNNCell),
}


@pytest.mark.parametrize("make", FEATURES, ids=lambda make: make.__name__)
def test_rows_round_the_weights_that_functions_of_features_read(make):
    types, weights = FEATURES[make]
    assert_rows_equal(make, rows(), types, weights=weights, average=make is not networks.Sliced)


@pytest.mark.parametrize("make", PICTURES, ids=lambda make: make.__name__)
def test_rows_round_the_kernels_that_functions_read(make):
    types, weights = PICTURES[make]
    assert_rows_equal(make, images(), types, weights=weights, average=make is not networks.DynamicDepthwise)


def test_rows_round_a_table_that_a_function_reads():
    assert_rows_equal(networks.ByEmbedding, words(), {"embedding": WEIGHT} | LAYER, weights=2)


def test_a_table_that_is_indexed_has_a_format_or_counts_as_float():
    """60 numbers in the table, 18 in the head."""
    model, other = made_twice(networks.ByIndex)
    graph = ww.Graph(model)
    space = ww.QuantisationSpace(graph, by="type", seed={"linear": {"config": config()}})
    found = ww.Evaluator(graph, space, words(), metrics=["average_bitwidth", "model_size"])(space.at([0]))
    assert found["average_bitwidth"][0] == pytest.approx((60 * 32 + 18 * 2) / 78)
    assert found["model_size"][0] == (60 * 32 + 18 * 2 + 3 * 8) / 8
    assert ww.evaluate(model, words(), metrics=["loss"])["loss"] == pytest.approx(
        loss_of(other, words()), rel=1e-5
    )


def test_rows_round_a_layer_of_ones_own():
    make = lambda: around(networks.OwnLinear(6, 8))  # noqa: E731
    assert_rows_equal(make, rows(), {"matmul": NO_BIAS} | LAYER, weights=2)


@pytest.mark.parametrize("by_transformers", [False, True], ids=["own", "transformers"])
def test_rows_round_a_linear_layer_that_is_stored_transposed(by_transformers: bool):
    layer: type[nn.Module] = networks.Conv1D
    if by_transformers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = pytest.importorskip("transformers.pytorch_utils").Conv1D
    make = lambda: around(layer(8, 6))  # noqa: E731
    assert_rows_equal(make, rows(), {"addmm": ALL} | LAYER, weights=2)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_compute_with_their_weights_rounded(name: str):
    """Whatever decisions they have: all with one choice, against torch's own layer of rounded weights."""
    (model, other), data = made_twice(RECURRENT[name]), sequences()
    graph = ww.Graph(model)
    layers = [layer for layer in graph.layers if "weight" in layer.tensors]
    kinds = {layer.type for layer in layers}
    assert len(kinds) > 1, "the recurrent layer has no slot for its weights"
    seed = {kind: {"config": config("weight")} for kind in kinds}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "average_bitwidth"])
    candidates = np.repeat([[0], [1]], len(space.decisions), axis=1)
    found = evaluator(candidates)
    for number, width in enumerate(WIDTHS):
        rounded = copy.deepcopy(other)
        with torch.no_grad():
            for parameter in rounded.parameters():
                if parameter.dim() > 1:
                    parameter.copy_(fixed(parameter, width))
        expected = loss_of(rounded, data)
        assert found["loss"][number] == pytest.approx(expected, rel=1e-4)
        assert loss_of(evaluator.network(candidates[number]).model, data) == pytest.approx(expected, rel=1e-4)
        assert found["average_bitwidth"][number] == width


@pytest.mark.parametrize("name", ["LSTM", "GRU", "both directions", "LSTMCell"])
def test_recurrent_layers_can_have_their_biases_rounded(name: str):
    (model, other), data = made_twice(RECURRENT[name]), sequences()
    graph = ww.Graph(model)
    kinds = {layer.type for layer in graph.layers if "bias" in layer.tensors}
    seed = {kind: {"config": {"name": ["integer"], "bias_width": [4]}} for kind in kinds}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    found = ww.Evaluator(graph, space, data, metrics=["loss"])(space.at([0]))
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.dim() == 1:
                parameter.copy_(fixed(parameter, 4))
    assert len(kinds) > 1
    assert found["loss"][0] == pytest.approx(loss_of(other, data), rel=1e-4)


@pytest.mark.parametrize("options", [{}, {"bias": False}], ids=["biases", "no biases"])
def test_attention_is_its_projections(options: dict):
    def by_hand(model: nn.Module) -> nn.Module:
        assert isinstance(model, networks.Attentive)
        return networks.AttentiveByHand(model)

    assert_rows_equal(lambda: networks.Attentive(**options), sequences(), LAYER, weights=3, plain=by_hand)


def test_a_float_row_of_attention_is_torchs_own():
    model, other = made_twice(networks.Attentive)
    found = ww.evaluate(model, sequences(), metrics=["loss", "average_bitwidth"])
    assert found["loss"] == pytest.approx(loss_of(other, sequences()), rel=1e-5)
    assert found["average_bitwidth"] == 32


@pytest.mark.parametrize("make", [networks.DotProduct, networks.Attentive], ids=lambda make: make.__name__)
def test_products_of_attention_have_formats(make):
    """Its queries, keys and values at least are rounded: few bits change the loss, many do not."""
    (model, other), data = made_twice(make), sequences()
    graph = ww.Graph(model)
    seed = {"attention": {"config": {"name": ["integer"], "data_in_width": [2, 24]}}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    assert [decision.name.rpartition("/")[2] for decision in space.decisions] == ["data_in_width"]
    found = ww.Evaluator(graph, space, data, metrics=["loss"])(space.at([0, 1]))["loss"]
    exact = loss_of(other, data)
    assert abs(found[0] - exact) > 1e-4
    assert found[1] == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize(
    "make", [networks.ByLinearWithBias, networks.ByAddmm, networks.ByConvolution], ids=lambda m: m.__name__
)
def test_weights_of_functions_count_in_sizes(make):
    (model, _), data = made_twice(make), images() if make is networks.ByConvolution else rows()
    sizes = [parameter.numel() for parameter in model.parameters()]
    found = ww.evaluate(model, data, metrics=["average_bitwidth", "model_size", "parameters"])
    assert found["average_bitwidth"] == 32
    assert found["parameters"] == sum(sizes)
    assert found["model_size"] == 4 * sum(sizes)


def test_a_product_of_two_results_has_no_weight():
    class Gram(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            h = self.a(x)
            return self.out(h @ (h.T @ h))

    model, _ = made_twice(Gram)
    assert {layer.tensors for layer in ww.Graph(model).layers if layer.type == "matmul"} == {("data_in",)}
