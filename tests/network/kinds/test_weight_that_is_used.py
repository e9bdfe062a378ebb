"""Layers that are more than their class says: the weight that is used is quantised, judged and counted."""

from __future__ import annotations

import importlib
import warnings

import pytest
import torch
from torch import nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, images, loss_of, made_twice, rows, words
from helpers.networks.reparametrised import CONVOLUTION, EMBEDDING, LINEAR, adapted, around

WHOLE = {"linear": ALL}


@pytest.mark.parametrize("name", LINEAR)
def test_rows_of_linear_layers_round_the_weight_that_is_used(name: str):
    assert_rows_equal(LINEAR[name], rows(), WHOLE, weights=2, settled=True)


@pytest.mark.parametrize("name", CONVOLUTION)
def test_rows_of_convolutions_round_the_weight_that_is_used(name: str):
    assert_rows_equal(CONVOLUTION[name], images(), {"conv2d": ALL, "linear": ALL}, weights=2, settled=True)


@pytest.mark.parametrize("name", EMBEDDING)
def test_rows_of_embeddings_round_the_table_that_is_used(name: str):
    assert_rows_equal(
        EMBEDDING[name], words(), {"embedding": ("weight",), "linear": ALL}, weights=2, settled=True
    )


@pytest.mark.parametrize("name", LINEAR)
def test_a_float_row_is_the_modules_own(name: str):
    model, other = made_twice(LINEAR[name], rows())
    found = ww.evaluate(model, rows(), metrics=["loss", "average_bitwidth"])
    assert found["loss"] == pytest.approx(loss_of(other, rows()), rel=1e-5)
    assert found["average_bitwidth"] == 32


@pytest.mark.parametrize("name", [name for name in LINEAR if "clipping" not in name and "hook" not in name])
def test_weights_alone_can_be_quantised(name: str):
    assert_rows_equal(LINEAR[name], rows(), {"linear": ("weight",)}, weights=2, settled=True)


@pytest.mark.parametrize("name", ["old_weight_norm", "old_spectral_norm", "pruned", "pruned_bias"])
def test_a_network_that_has_not_run_yet_is_taken_too(name: str):
    """Its weight is a result that torch can't copy."""
    assert_rows_equal(LINEAR[name], rows(), WHOLE, weights=2)


def test_layers_within_a_layer_are_quantised_too():
    types = {"linear": ALL}
    assert_rows_equal(lambda: around(adapted()), rows(), types, weights=4)


@pytest.mark.parametrize(
    "name", ["old_weight_norm", "new_spectral_norm", "pruned", "MaskedLinear", "ScaledLinear"]
)
def test_what_is_stored_is_the_weight_that_is_used(name: str):
    """48 and 24 weights of 2 or 8 bits, 8 + 3 biases of 8 bits; neither masks nor what it was made from."""
    model, _ = made_twice(LINEAR[name], rows())
    graph = ww.Graph(model)
    seed = {"linear": {"config": {"name": ["integer"], "weight_width": [2, 8], "bias_width": [8]}}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    found = ww.Evaluator(graph, space, rows(), metrics=["model_size"])(space.at(range(space.size)))
    expected = [(48 * first + 24 * second) / 8 + 11 for first in (2, 8) for second in (2, 8)]
    assert found["model_size"].tolist() == expected


@pytest.mark.parametrize("name", ["new_weight_norm", "pruned", "with_hook", "ScaledLinear", "PropertyLinear"])
def test_the_network_of_a_candidate_computes_what_was_judged(name: str):
    data = rows()
    model, other = made_twice(LINEAR[name], data)
    graph = ww.Graph(model)
    seed = {"linear": {"config": {"name": ["integer"], "weight_width": [2, 8]}}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    assert len(space.decisions) == 2
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
    found = float(evaluator(space.at([1]))["loss"][0])
    assert loss_of(evaluator.network([0, 1]).model, data) == pytest.approx(found, rel=1e-5)
    assert loss_of(evaluator.network([0, 1]).copy().model, data) == pytest.approx(found, rel=1e-5)
    assert abs(found - loss_of(other, data)) > 1e-5


@pytest.mark.parametrize("kind", ["Linear", "LinearReLU"])
def test_layers_of_torchs_own_quantisation_aware_training(kind: str):
    """Their fake quantisation is off, so that they are linear layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantisation = pytest.importorskip("torch.ao.quantization")
        module = "torch.ao.nn.qat" if kind == "Linear" else "torch.ao.nn.intrinsic.qat"
        layer = getattr(importlib.import_module(module), kind)
        config = quantisation.get_default_qat_qconfig("fbgemm")

    def make() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = layer(6, 8, qconfig=config)
        made.apply(torch.ao.quantization.disable_fake_quant)
        made.apply(torch.ao.quantization.disable_observer)
        return around(made)

    assert_rows_equal(make, rows(), WHOLE, weights=2, settled=True)
