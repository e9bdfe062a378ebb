"""Metadata: shapes against torch's own propagation, costs against its flop counter and the parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.utils.flop_counter import FlopCounterMode

from helpers.networks import build, inputs, normal, tagged
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.graph import META, Graph
from widthwise.network.passes.metadata import (
    UNSEEN,
    NodeMeta,
    TensorMeta,
    add_common_metadata_analysis_pass,
    add_software_metadata_analysis_pass,
    init_metadata_analysis_pass,
    propagate,
    uncounted,
)
from widthwise.network.scheme import Scheme


def stored(metas: dict[str, NodeMeta]) -> tuple[int, int]:
    """Parameters and buffer elements of all nodes."""
    costs = [meta.cost for meta in metas.values() if meta.cost is not None]
    parameters = sum(c.weight_elements + c.bias_elements + c.other_parameters for c in costs)
    return parameters, sum(c.buffer_elements for c in costs)


@pytest.mark.parametrize("name", tagged("layers", "traceable"))
def test_shapes_and_dtypes_are_those_of_torchs_own_propagation(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    metas = propagate(graph, x)
    reference = copy.deepcopy(graph.model)
    ShapeProp(reference).propagate(x)
    for node in reference.graph.nodes:
        expected = node.meta.get("tensor_meta")
        if isinstance(expected, tuple) and hasattr(expected, "shape"):
            assert metas[node.name].outputs[0] == TensorMeta(tuple(expected.shape), expected.dtype)


@pytest.mark.parametrize("name", tagged("layers"))
def test_every_parameter_of_the_network_is_stored_by_exactly_one_node(name: str) -> None:
    graph = Graph(build(name))
    parameters, buffers = stored(propagate(graph, inputs(name)))
    unused = sum(p.numel() for p in graph.modules["never"].parameters()) if name == "untraceable" else 0
    assert parameters == sum(p.numel() for p in graph.model.parameters()) - unused
    assert buffers == sum(b.numel() for b in graph.model.buffers() if b.is_floating_point())


@pytest.mark.parametrize(
    "name", ["residual", "residual image", "concat", "shared", "hand_made", "untraceable"]
)
def test_macs_are_half_of_torchs_flop_count(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name, 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph.model(x)
    macs = sum(meta.cost.macs for meta in propagate(graph, x).values() if meta.cost)
    assert 2 * macs == counter.get_total_flops()


@pytest.mark.parametrize("name", tagged("layers"))
def test_costs_are_per_sample(name: str) -> None:
    graph = Graph(build(name))
    one, many = (propagate(graph, inputs(name, samples)) for samples in (1, 6))
    assert {key: meta.cost for key, meta in one.items()} == {key: meta.cost for key, meta in many.items()}


@pytest.mark.parametrize("name", tagged("layers"))
def test_a_quantised_network_costs_what_the_float_one_does(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    fmt = Integer(8, 4)
    made = graph.quantized({layer.name: Scheme(fmt, fmt, fmt) for layer in graph.layers if layer.tensors})
    assert propagate(made, x) == propagate(graph, x)


def test_a_module_that_runs_twice_has_the_work_of_both_runs_and_is_stored_once() -> None:
    metas = propagate(Graph(build("untraceable")), inputs("untraceable"))
    assert metas["again"].cost is not None
    assert (metas["again"].cost.macs, metas["again"].cost.weight_elements) == (50, 25)
    assert "never" not in metas


def test_weights_that_two_layers_share_are_stored_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7)
            self.head.weight = self.embed.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embed(x))

    assert stored(propagate(Graph(Tied()), torch.tensor([[1, 2]])))[0] == 7 * 4 + 7


def test_running_leaves_network_and_mode_as_they_were() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    graph = Graph(model)
    before = {key: value.clone() for key, value in graph.model.state_dict().items()}
    propagate(graph, normal(4)(8))
    assert all(torch.equal(before[key], value) for key, value in graph.model.state_dict().items())
    assert all(module.training for module in graph.model.modules())
    assert not any(module._forward_hooks for module in graph.model.modules())
    assert not any(META in node.meta for node in graph.fx_graph.nodes)


@pytest.mark.parametrize("form", ["tensors", "names", "mixed"])
def test_inputs_go_by_position_or_name_and_defaults_are_filled_in(form: str) -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor, scale: float = 2.0) -> Tensor:
            return (a + b.sum(1, keepdim=True)) * scale

    a, b = normal(3)(2), normal(5)(2)
    example: Any = {"tensors": (a, b), "names": {"b": b, "a": a}, "mixed": {"a": a, "b": b, "scale": 3.0}}[
        form
    ]
    metas = propagate(Graph(Two()), example)
    assert metas["a"].outputs[0].shape == (2, 3)
    assert metas["output"].outputs[0].shape == (2, 3)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (torch.ones(2, 7), r"left: can't be run on \[2, 7\]: RuntimeError"),
        ({"y": torch.ones(2, 6)}, "no input named 'y'; .*allowed: x"),
        ({}, "its input x has no value"),
    ],
)
def test_an_example_that_does_not_fit_is_an_error_that_names_the_layer(example: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        propagate(Graph(build("concat")), example)


def test_a_network_captured_as_it_runs_says_what_it_was_given() -> None:
    with pytest.raises(UserError, match=r"Untraceable: can't be run on \[2, 3\]"):
        propagate(Graph(build("untraceable")), torch.ones(2, 3))


def test_the_passes_fill_in_metadata_step_by_step_on_copies() -> None:
    graph = Graph(build("residual image"))
    begun, types = init_metadata_analysis_pass(graph, None)
    done, metas = add_common_metadata_analysis_pass(begun, {"dummy_in": {"x": inputs("residual image")}})
    same, costs = add_software_metadata_analysis_pass(done, None)
    assert not any(META in node.meta for node in graph.fx_graph.nodes)
    for node in begun.fx_graph.nodes:
        assert node.meta[META] == types[node.name]
        assert (node.meta[META].outputs, node.meta[META].cost) == ((), None)
    for made in (done, same, done.quantized({"conv": Scheme(Integer(8, 4))})):
        assert {node.name: node.meta[META] for node in made.fx_graph.nodes} == metas
    assert metas["conv"].type == "conv2d"
    assert metas["conv"].tensors == ("data_in", "weight", "bias")
    assert costs["conv"] == metas["conv"].cost


def test_the_passes_say_what_they_lack() -> None:
    graph = Graph(build("concat"))
    with pytest.raises(UserError, match="no shapes yet; run add_common_metadata_analysis_pass"):
        add_software_metadata_analysis_pass(init_metadata_analysis_pass(graph)[0])
    with pytest.raises(UserError, match="needs an input to run"):
        add_common_metadata_analysis_pass(graph, {})
    with pytest.raises(UserError, match="no argument named 'dummy'; did you mean dummy_in"):
        add_common_metadata_analysis_pass(graph, {"dummy": 1})


def test_a_shape_that_is_changed_in_place_is_told_as_it_was_read() -> None:
    class Changes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.unsqueeze_(1)

    x = normal(4)(3)
    metas = propagate(Graph(Changes()), x)
    assert metas["unsqueeze_"].inputs[0].shape == (3, 4)
    assert metas["unsqueeze_"].outputs[0].shape == (3, 1, 4)
    assert x.shape == (3, 4)


def product_with_itself(x: Tensor) -> Tensor:
    return x @ x.transpose(-1, -2)


class WithScriptedProduct(nn.Module):
    """What torch.jit runs by itself is seen neither as calls nor as work."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)
        self.product = torch.jit.script(product_with_itself)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last((self.product(h[:, :, None]) @ h[:, :, None]).squeeze(2))


class OfScriptedLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Linear(4, 6), torch.jit.script(nn.Linear(6, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.first(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize(
    ("network", "said"),
    [
        (WithScriptedProduct, (UNSEEN,)),
        (OfScriptedLayer, ("recursive_script_module",)),
        (partial(nn.Linear, 4, 2), ()),
    ],
    ids=["function", "layer", "nothing"],
)
def test_work_that_has_no_count_is_named(network: Callable[[], nn.Module], said: tuple[str, ...]):
    x = torch.randn(3, 4)
    graph = Graph(network().eval(), x)
    assert uncounted(graph.fx_graph, propagate(graph, (x,))) == said
