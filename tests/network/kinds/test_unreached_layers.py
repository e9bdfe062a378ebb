"""Layers that replacing modules does not reach: quantised all the same, or an error; never float unseen."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, left_as_it_was, loss_of, made_twice, rows, space_of
from helpers.networks.unreached import UNREACHED, Body, compiled, mlp

LINEAR = {"linear": ALL}
LAYERS = (
    "body",
    "first",
    "steps",
    "tasks",
    "backbone",
    "part",
    "shared",
    "run",
    "0",
    "linear",
    "script",
    "jit",
)


def plain(model: nn.Module) -> nn.Module:
    """What a compiled or scripted network was made from: the same layers, reached by torch itself."""
    if type(model).__module__.startswith("torch.jit") or "torch.jit" in str(
        type(getattr(model, "body", None))
    ):
        state, whole = model.state_dict(), type(model).__module__.startswith("torch.jit")
        made: nn.Module = mlp() if whole else Body(lambda body: body)
        made.load_state_dict(state)
        return made
    while hasattr(model, "_orig_mod"):
        model = model._orig_mod
    for name, child in model.named_children():
        if hasattr(child, "_orig_mod"):
            setattr(model, name, child._orig_mod)
    for module in model.modules():
        module._compiled_call_impl = None
    return model


@pytest.mark.parametrize("name", UNREACHED)
def test_rows_are_those_of_quantised_layers_or_an_error_names_one(name: str):
    try:
        assert_rows_equal(UNREACHED[name], rows(), LINEAR, weights=2, plain=plain)
    except ww.UserError as error:
        assert any(layer in str(error) for layer in LAYERS), str(error)  # noqa: PT017


@pytest.mark.parametrize("name", UNREACHED)
def test_no_candidate_of_few_bits_has_the_float_loss(name: str):
    (model, other), data = made_twice(UNREACHED[name]), rows()
    try:
        graph = ww.Graph(model)
        space = space_of(graph, {"linear": ("weight",)})
        evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "model_size"])
        found = evaluator(space.at(range(space.size)))
    except ww.UserError:
        return
    exact = loss_of(plain(other), data)
    assert np.all(np.abs(found["loss"] - exact) > 1e-7)
    assert len(set(found["loss"].tolist())) == space.size
    assert np.all(found["model_size"] > 0)


@pytest.mark.parametrize("name", UNREACHED)
def test_the_float_row_is_right_or_an_error(name: str):
    (model, other), data = made_twice(UNREACHED[name]), rows()
    expected = loss_of(plain(other), data)
    try:
        with left_as_it_was(model):
            found = ww.evaluate(model, data, metrics=["loss", "average_bitwidth"])
    except ww.UserError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["average_bitwidth"] == 32


def test_a_compiled_network_has_the_rows_of_the_one_that_it_was_made_from():
    data, found = rows(), []
    for change in (lambda model: model, compiled):
        model, _ = made_twice(lambda: mlp().eval())
        graph = ww.Graph(change(model))
        space = space_of(graph, LINEAR)
        evaluator = ww.Evaluator(graph, space, data, metrics=["loss", "average_bitwidth", "model_size"])
        found.append(evaluator(space.at(range(space.size))))
    for metric in ("loss", "average_bitwidth", "model_size"):
        np.testing.assert_allclose(found[1][metric], found[0][metric], rtol=1e-6)


def test_a_part_that_is_never_called_makes_no_error_where_its_formats_are_left_alone():
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.unused, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.first(x).relu())

    model, _ = made_twice(Unused)
    graph = ww.Graph(model)
    seed = {name: {"config": {"name": ["integer"], "weight_width": [2, 8]}} for name in ("first", "last")}
    space = ww.QuantisationSpace(graph, by="name", seed=seed)
    found = ww.Evaluator(graph, space, rows(), metrics=["loss"])(space.at(range(4)))
    assert len(set(found["loss"].tolist())) == 4
