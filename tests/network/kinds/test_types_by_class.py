"""Types are those of torch's classes, subclasses included: a rule for convolutions is for all of them."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable

import pytest
from torch import nn

import widthwise as ww
from helpers.emulation import (
    ALL,
    assert_rows_equal,
    config,
    images,
    loss_of,
    made_twice,
    rows,
    sequences,
    words,
)
from helpers.networks import subclasses as networks
from helpers.networks.reparametrised import around, around_image
from helpers.timm_layers import timm_layers

LINEAR = {"linear": ALL}


@pytest.mark.parametrize("name", networks.LINEAR)
def test_subclasses_of_linear_layers_are_linear(name: str):
    assert_rows_equal(networks.LINEAR[name], rows(), LINEAR, weights=2)


@pytest.mark.parametrize("name", networks.CONVOLUTIONS)
def test_subclasses_of_convolutions_are_convolutions(name: str):
    assert_rows_equal(networks.CONVOLUTIONS[name], images(), {"conv2d": ALL} | LINEAR, weights=2)


class Upsampled(nn.Module):
    """A layer that is called with more than its input."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.out = nn.ConvTranspose1d(6, 4, 3, stride=2, groups=2), nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.up(x.transpose(1, 2), output_size=[12]).mean(-1))


def test_what_a_layer_is_called_with_beside_its_input_is_kept():
    assert_rows_equal(Upsampled, sequences(), {"conv_transpose1d": ALL} | LINEAR, weights=2)


@pytest.mark.parametrize("name", networks.EMBEDDINGS)
def test_subclasses_of_embeddings_are_embeddings(name: str):
    assert_rows_equal(networks.EMBEDDINGS[name], words(), {"embedding": ("weight",)} | LINEAR, weights=2)


@pytest.mark.parametrize("name", [*networks.LINEAR, *networks.CONVOLUTIONS])
def test_a_rule_of_weights_alone_is_a_search(name: str):
    data = images() if name in networks.CONVOLUTIONS else rows()
    model, _ = made_twice((networks.LINEAR | networks.CONVOLUTIONS)[name])
    kind = "conv2d" if name in networks.CONVOLUTIONS else "linear"
    space = ww.QuantisationSpace(ww.Graph(model), by="type", seed={kind: {"config": config("weight")}})
    assert space.size == (2 if kind == "conv2d" else 4)
    found = ww.Evaluator(ww.Graph(model), space, data, metrics=["loss"])(space.at(range(space.size)))
    assert len(set(found["loss"].tolist())) == space.size


def test_a_subclass_by_the_product_is_quantised_whichever_type_it_has():
    """As a linear layer or as a product: one decision for its weight, the rows those of what it computes."""
    make = lambda: around(networks.Transposing(6, 8))  # noqa: E731
    rules = {"linear": ALL, "matmul": ("data_in", "weight")}
    kinds = {layer.type for layer in ww.Graph(make()).layers if "weight" in layer.tensors}
    assert_rows_equal(make, rows(), {kind: rules[kind] for kind in kinds}, weights=2)


def test_a_subclass_that_holds_layers_keeps_them_within_reach():
    """Its own product, a norm, an activation."""
    (model, _) = made_twice(lambda: around(networks.Sandwich(6, 8)))
    graph = ww.Graph(model)
    reached = {layer.type for layer in graph.layers if layer.tensors}
    assert {"linear", "layer_norm", "tanh"} <= reached
    assert sum(layer.type == "linear" and "weight" in layer.tensors for layer in graph.layers) == 2


@pytest.mark.parametrize("name", networks.NORMS)
def test_norms_and_activations_are_selected_by_their_type(name: str):
    """Many bits change nothing, few do; what they are is told by what they compute."""
    make, kind = networks.NORMS[name]
    (model, other), data = made_twice(make), images() if "2d" in name else rows()
    graph = ww.Graph(model)
    seed = {kind: {"config": {"name": ["integer"], "data_in_width": [2, 24]}}}
    space = ww.QuantisationSpace(graph, by="type", seed=seed)
    assert space.size == 2
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
    found, exact = evaluator(space.at([0, 1]))["loss"], loss_of(other, data)
    assert abs(found[0] - exact) > 1e-4
    assert found[1] == pytest.approx(exact, rel=1e-3)
    assert loss_of(evaluator.network([0]).model, data) == pytest.approx(found[0], rel=1e-5)


@pytest.mark.parametrize("name", ["NormAct2d", "NormByFunction2d", "LayerNorm2d"])
def test_norms_have_weights(name: str):
    model, _ = made_twice(networks.NORMS[name][0])
    found = {layer.type: layer.tensors for layer in ww.Graph(model).layers}
    assert found[networks.NORMS[name][1]] == ("data_in", "weight", "bias")


@pytest.mark.parametrize("name", networks.OWN)
def test_networks_with_layers_of_ones_own_are_searched(name: str):
    assert_rows_equal(networks.OWN[name], rows(), LINEAR, weights=2, average=False)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("bias_width", "embedding"),
        ("data_in_width", "embedding"),
        ("weight_width", "relu"),
        ("bias_width", "relu"),
    ],
)
def test_a_key_of_a_rule_that_applies_to_nothing_is_an_error(key: str, kind: str):
    model = nn.Sequential(nn.Embedding(10, 6), nn.Flatten(), nn.ReLU(), nn.Linear(30, 3))
    own = "weight_width" if kind == "embedding" else "data_in_width"
    seed = {kind: {"config": {"name": ["integer"], own: [4, 8], key: [4, 8]}}}
    with pytest.raises(ww.UserError, match=key):
        ww.QuantisationSpace(ww.Graph(model), by="type", seed=seed)


def test_a_key_that_applies_to_no_layer_of_its_rule_is_an_error():
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 3, bias=False))
    seed = {"linear": {"config": {"name": ["integer"], "weight_width": [4, 8], "bias_width": [8]}}}
    with pytest.raises(ww.UserError, match="bias_width"):
        ww.QuantisationSpace(ww.Graph(model), by="type", seed=seed)


def test_a_key_that_applies_to_one_layer_of_its_rule_is_none():
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 3))
    seed = {"linear": {"config": config()}}
    assert ww.QuantisationSpace(ww.Graph(model), by="type", seed=seed).size == 4


# ---- timm's and transformers' own


@pytest.fixture(scope="module", name="timm")
def timm_fixture() -> types.ModuleType:
    return timm_layers()


OF_TIMM: dict[str, Callable[[types.ModuleType], nn.Module]] = {
    "Conv2dSame": lambda timm: timm.Conv2dSame(3, 4, 3, stride=2),
    "StdConv2d": lambda timm: timm.StdConv2d(3, 4, 3, padding=1),
    "ScaledStdConv2d": lambda timm: timm.ScaledStdConv2d(3, 4, 3, padding=1),
    "Linear": lambda timm: timm.Linear(6, 8),
}


@pytest.mark.parametrize("name", OF_TIMM)
def test_layers_of_timm_are_those_that_they_inherit_from(name: str, timm: types.ModuleType):
    make = lambda: OF_TIMM[name](timm)  # noqa: E731
    if name == "Linear":
        assert_rows_equal(lambda: around(make()), rows(), LINEAR, weights=2)
    else:
        tensors = ALL if make().bias is not None else ALL[:2]
        assert_rows_equal(lambda: around_image(make()), images(), {"conv2d": tensors} | LINEAR, weights=2)


@pytest.mark.parametrize(
    ("name", "kind"), [("BatchNormAct2d", "batch_norm2d"), ("LayerNorm2d", "layer_norm")]
)
def test_norms_of_timm_are_those_that_they_inherit_from(name: str, kind: str, timm: types.ModuleType):
    model = around_image(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), getattr(timm, name)(4)))
    found = {layer.type: layer.tensors for layer in ww.Graph(model).layers}
    assert found[kind] == ("data_in", "weight", "bias")


def test_an_activation_of_transformers_is_what_it_computes():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        activations = pytest.importorskip("transformers.activations")
    model = nn.Sequential(nn.Linear(6, 8), activations.GELUActivation(), nn.Linear(8, 3))
    assert ("gelu", ("data_in",)) in [(layer.type, layer.tensors) for layer in ww.Graph(model).layers]
