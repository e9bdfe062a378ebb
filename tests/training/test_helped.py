"""Post-training help: biases that make up for rounding, weights rounded for their layer's outputs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.data.facts import part
from widthwise.formats.base import Format
from widthwise.formats.integer import Integer
from widthwise.formats.scaled import ScaledInteger
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.network.graph import Graph
from widthwise.training.finetuning.rounding import Reconstruction, adaptively_rounded
from widthwise.training.finetuning.settings import BASE, Finetuning
from widthwise.training.finetuning.tuning import Tuner

FORMATS: list[Format] = [Integer(3, 2), ScaledInteger(4, scale=0.2)]


def tuner_of(model: nn.Module, data: Any, **settings: Any) -> Tuner:
    fitting = check_data_fits_model(model, data)
    how = Finetuning(training=replace(BASE, steps=200), **settings)
    return Tuner(Graph(model, fitting.example), data, fitting, how)


def quantised(graph: Graph, scheme: ww.Scheme) -> Graph:
    return graph.quantized({layer.name: scheme for layer in graph.layers if "weight" in layer.tensors})


@pytest.mark.parametrize("conv", [False, True])
def test_corrected_biases_give_the_float_networks_mean_outputs(conv: bool) -> None:
    torch.manual_seed(0)
    last = [nn.Flatten(), nn.Linear(16 * 64 if conv else 24, 10)]
    first = [nn.Conv2d(1, 16, 3, padding=1)] if conv else [nn.Flatten(), nn.Linear(64, 24)]
    model, data = nn.Sequential(*first, nn.ReLU(), *last), ww.load_data("digits", seed=0)
    tuner = tuner_of(model, data, method="bias_correction")
    graph = quantised(tuner.teacher, ww.Scheme(Integer(4, 3), Integer(3, 3)))
    found = tuner(graph).graph.model
    x = torch.cat([batch[0] for batch in part(data, "train")])[:1024]
    with torch.no_grad():
        wanted, before, after = (one(x).mean(0) for one in (model.eval(), graph.model.eval(), found))
    assert not torch.allclose(before, wanted, atol=1e-3)
    assert torch.allclose(after, wanted, atol=1e-4)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_weights_are_rounded_to_a_neighbour_and_outputs_come_nearer(fmt: Format) -> None:
    generator = torch.Generator().manual_seed(1)
    layer = nn.Linear(5, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.08, 0.09, 0.095, 0.07, 0.085]]))  # all would be rounded down
    x = torch.rand(200, 5, generator=generator) + 2.0  # all alike, so that their errors add up
    before = layer.weight.detach().clone()
    given = Reconstruction(layer, ww.Scheme(None, fmt), x, layer(x).detach())
    step, nearest = given.steps, float(given.error(fmt.quantize(before)))
    every = [
        float(given.error(fmt.quantize((before / step).floor() * step + torch.tensor(ups) * step)))
        for ups in product((0.0, 1.0), repeat=5)
    ]
    adaptively_rounded(given, 500, seed=0)
    found = layer.weight.detach()
    assert found.equal(fmt.quantize(found))
    assert ((found - before).abs() < step * 1.0001).all()
    assert min(every) - 1e-6 <= float(given.error(found)) <= nearest
    assert min(every) < 0.5 * nearest  # so there was something to find
    assert float(given.error(found)) < nearest


def test_what_is_left_as_it_is_is_said_by_name() -> None:
    model, data = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5, bias=False)), ww.load_data("jsc")
    tuner = tuner_of(model, data, method="adaptive_rounding")
    wide, narrow = ww.Scheme(Integer(8, 4), Integer(8, 6)), ww.Scheme(Integer(8, 4), Integer(3, 2))
    names = [layer.name for layer in tuner.teacher.layers if "weight" in layer.tensors]
    notes = tuner(tuner.teacher.quantized(dict(zip(names, (wide, narrow), strict=True)))).notes
    assert f"{names[0]}: weight in fixed<8,6> is rounded to nearest, as it has more than 4 bits" in notes
    assert f"{names[1]}: has no bias, so none is corrected" in notes


def test_a_network_without_such_layers_is_refused_by_the_method() -> None:
    model, data = nn.Sequential(nn.Linear(16, 5)), ww.load_data("jsc")
    tuner = tuner_of(model, data, method="bias_correction")
    with pytest.raises(UserError, match="bias_correction: is for linear layers and convolutions"):
        tuner(tuner.teacher)


def test_settings_of_training_are_refused_with_it() -> None:
    with pytest.raises(
        UserError, match="goes without mixup, noise, crop, step_sizes, batch_norm and halving"
    ):
        Finetuning(method="bias_correction", noise=0.1)
