"""Calibration: what followed the data is fixed from what the float network computes, and from the weights."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.networks import Untraceable, build, inputs, normal, tagged
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import Evaluator
from widthwise.formats import Integer, ScaledInteger, Ternary
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes.calibrate import calibrate_transform_pass
from widthwise.network.scheme import Scheme

AUTO = Integer(8, "auto")


def quantised(graph: Graph, scheme: Scheme) -> Graph:
    return graph.quantized({layer.name: scheme for layer in graph.layers if layer.tensors})


def chain() -> tuple[nn.Sequential, Graph]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    return model, Graph(model)


def test_formats_are_fixed_from_the_float_networks_values() -> None:
    model, graph = chain()
    x = 5 * normal(4)(100)
    rough = quantised(graph, Scheme(Integer(2, "auto"), AUTO, AUTO))  # what it computes itself is far off
    made, schemes = calibrate_transform_pass(rough, {"data": x})
    assert made.schemes == schemes
    with torch.no_grad():
        read = {"_0": x, "_1": model[0](x), "_2": model[:2](x)}
    for name, value in read.items():
        assert schemes[name].data_in == Integer(2, "auto").calibrated(value)
    assert schemes["_2"].weight == AUTO.calibrated(model[2].weight)
    assert schemes["_2"].bias == AUTO.calibrated(model[2].bias)
    assert rough.scheme("_2") == Scheme(Integer(2, "auto"), AUTO, AUTO)


@pytest.mark.parametrize("name", tagged("layers"))
def test_a_calibrated_network_no_longer_follows_the_samples_at_hand(name: str) -> None:
    x = inputs(name, 16)
    graph = quantised(Graph(build(name)), Scheme(AUTO, ScaledInteger(6, per="channel"), ScaledInteger(6)))
    made, _ = calibrate_transform_pass(graph, {"data": (x,)})
    with torch.no_grad():
        together = made.model(x)
        alone = torch.cat([made.model(x[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(alone, together)


def test_formats_whose_scales_belong_to_samples_stay_as_they_are() -> None:
    _, graph = chain()
    grouped = ScaledInteger(8, per="group", group_size=2)
    made, schemes = calibrate_transform_pass(
        quantised(graph, Scheme(grouped, grouped)),
        {"data": normal(4)(10)},
    )
    assert schemes["_0"].data_in == grouped
    assert schemes["_0"].weight != grouped
    made.model(normal(4)(3))


def test_channels_of_inputs_have_fixed_scales() -> None:
    _, graph = chain()
    x = normal(4)(50) * torch.tensor([1.0, 2.0, 4.0, 8.0])
    fmt = ScaledInteger(8, per="channel", axis=1)
    _, schemes = calibrate_transform_pass(graph.quantized({"_0": Scheme(fmt)}), {"data": x})
    found = schemes["_0"].data_in
    assert isinstance(found, ScaledInteger)
    assert found.scale == pytest.approx((x.abs().amax(0) / 127).tolist())


def test_all_inputs_of_a_function_count() -> None:
    class Sum(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b.sum(1)

    a, b = 0.1 * normal(3)(20), 9 * normal(2, 3)(20)
    graph = Graph(Sum())
    _, schemes = calibrate_transform_pass(graph.quantized({"add": Scheme(AUTO)}), {"data": (a, b)})
    assert schemes["add"].data_in == AUTO.calibrated(torch.stack([a, b.sum(1)]))


def test_every_run_of_a_module_counts() -> None:
    graph = Graph(Untraceable().eval())
    with torch.no_grad():
        graph.model.again.weight.copy_(10 * torch.eye(5))
        graph.model.first.weight.copy_(torch.eye(5))
    x = normal(5)(20)
    _, schemes = calibrate_transform_pass(graph.quantized({"again": Scheme(AUTO)}), {"data": x})
    with torch.no_grad():
        once = torch.relu(graph.model.first(x))
        assert schemes["again"].data_in == AUTO.calibrated(torch.cat([once, graph.model.again(once)]))


class InPlace(nn.Module):
    """A function, a layer and a method that change what they read."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(x, 0.5, inplace=True)  # the samples themselves
        x = self.second(self.act(self.first(x)))
        return self.last(functional.relu(x, inplace=True).mul_(0.5))


class OutOfSight(InPlace):
    """The same, where fx can't follow."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.isfinite().all() else x


def in_place(made_by: type[InPlace]) -> tuple[Graph, Tensor]:
    """The network and samples: what a ReLU cuts off are the values that are farthest from 0."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = made_by().eval()
    with torch.no_grad():
        made.first.bias.sub_(4)
        made.second.bias.sub_(9)
    graph = Graph(made)
    layers = {layer.name: Scheme(AUTO) for layer in graph.layers if "data_in" in layer.tensors}
    return graph.quantized(layers), normal(6)(40) - 20


@pytest.mark.parametrize("made_by", [InPlace, OutOfSight])
def test_what_works_in_place_hides_nothing_of_what_layers_read(made_by: type[InPlace]) -> None:
    graph, x = in_place(made_by)
    given = x.clone()
    _, schemes = calibrate_transform_pass(graph, {"data": x})
    assert torch.equal(x, given)
    layers = {name: getattr(module, "layer", module) for name, module in graph.modules.items()}
    with torch.no_grad():
        read = {"leaky_relu": x, "first": functional.leaky_relu(x, 0.5)}
        read["act"] = layers["first"](read["first"])
        read["second"] = functional.relu(read["act"])
        read["relu"] = layers["second"](read["second"])
        read["last"] = functional.relu(read["relu"]) * 0.5
    found = {name: scheme.data_in for name, scheme in schemes.items() if name in read}
    assert found == {name: AUTO.calibrated(read[name]) for name in found}
    assert {"first", "act", "second", "last"} <= found.keys()


def test_what_works_in_place_has_the_engines_formats() -> None:
    graph, x = in_place(InPlace)
    batches = [(x, torch.arange(40) % 3)]
    data = SimpleNamespace(train_dataloader=lambda: batches, val_dataloader=lambda: batches)
    evaluator = Evaluator(graph, None, data, metrics=["accuracy"])
    assert evaluator.prepared.sharing is not None
    _, schemes = calibrate_transform_pass(graph, {"data": data})
    engines = {slot.layer: slot.formats for slot in evaluator.slots if slot.tensor == "data_in"}
    assert engines == {name: (scheme.data_in,) for name, scheme in schemes.items()}


def test_masks_given_by_name_are_no_inputs() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.full((4, 4), -1e9).triu(1)
            return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    graph, x = Graph(Masked()), normal(4, 4)(20)
    (name,) = (layer.name for layer in graph.layers if layer.type == "attention")
    _, schemes = calibrate_transform_pass(graph.quantized({name: Scheme(AUTO)}), {"data": x})
    assert schemes[name].data_in == AUTO.calibrated(x)


def test_data_may_be_a_data_module_a_loader_or_a_tensor() -> None:
    data = load_data("jsc", batch_size=64)
    graph = Graph(load_model("jsc-tiny"))
    graph = graph.quantized({"seq_blocks_0": Scheme(AUTO)})
    x = torch.cat([batch for batch, _ in data.train_dataloader()])
    forms: list[Any] = [
        data,
        data.train_dataloader(),
        [{"x": x, "labels": x[:, 0]}],
        [x[:300], x[300:]],
        {"x": x},
    ]
    found = {calibrate_transform_pass(graph, {"data": form})[1]["seq_blocks_0"] for form in forms}
    assert found == {Scheme(AUTO.calibrated(x))}


def test_only_so_many_samples_are_looked_at() -> None:
    _, graph = chain()
    x = torch.cat([0.1 * torch.ones(10, 4), 100 * torch.ones(10, 4)])
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x[:, 0]), batch_size=4)
    _, schemes = calibrate_transform_pass(
        graph.quantized({"_0": Scheme(AUTO)}), {"data": loader, "samples": 10}
    )
    assert schemes["_0"].data_in == AUTO.calibrated(x[:10])


def test_fixed_formats_and_float_layers_are_left_alone() -> None:
    _, graph = chain()
    fixed = Scheme(Integer(8, 4), Ternary(), None)
    made, schemes = calibrate_transform_pass(graph.quantized({"_0": fixed}), {"data": normal(4)(9)})
    assert schemes.keys() == {"_0"}
    assert schemes["_0"].data_in == Integer(8, 4)
    with torch.no_grad():
        before = graph.quantized({"_0": fixed}).model(normal(4)(9))
        assert torch.equal(made.model(normal(4)(9)), before)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "needs data to look at"),
        ({"data": 3}, "its data is a int; give a tensor, a loader"),
        ({"data": []}, "its data has no batches"),
        ({"data": [3, 4]}, "batches are no tensors"),
        ({"data": torch.ones(2, 4), "samples": 0}, "samples = 0 is no whole number from 1"),
        ({"data": torch.ones(2, 5)}, r"_0: can't be run on \[2, 5\]"),
        ({"date": torch.ones(2, 5)}, "did you mean data"),
    ],
)
def test_data_that_does_not_fit_is_one_line(args: dict[str, Any], message: str) -> None:
    _, graph = chain()
    with pytest.raises(UserError, match=message):
        calibrate_transform_pass(quantised(graph, Scheme(AUTO)), args)
