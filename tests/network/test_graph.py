"""Capture and graphs: what is found, that it computes the same, that copies stay apart."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, fx, nn

from helpers.networks import ZOO, Shared, Untraceable, build, inputs, normal, tagged
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.graph import Graph
from widthwise.network.quantized import Quantized
from widthwise.network.scheme import Scheme
from widthwise.network.undisturbed import run_in_eval_mode

FINE = Integer(16, 10)
COARSE = Integer(4, 2)


def whole(fmt: Integer) -> Scheme:
    return Scheme(fmt, fmt, fmt)


def all_layers(graph: Graph, scheme: Scheme) -> dict[str, Scheme]:
    return {layer.name: scheme for layer in graph.layers if layer.tensors}


def state(graph: Graph) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in graph.model.state_dict().items()}


@pytest.mark.parametrize("name", tagged("layers"))
def test_a_captured_network_computes_what_it_did(name: str) -> None:
    model, x = build(name), inputs(name)
    exact = {} if "attention" in name else {"rtol": 0, "atol": 0}  # opened, it sums in another order
    with torch.no_grad():
        torch.testing.assert_close(Graph(model).model(x), model(x), **exact)


@pytest.mark.parametrize("name", tagged("layers"))
def test_quantising_every_layer_changes_the_copy_alone(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    before, nodes = state(graph), [(n.name, n.op, n.target) for n in graph.fx_graph.nodes]
    with torch.no_grad():
        was = graph.model(x)
        coarse = graph.quantized(all_layers(graph, whole(COARSE)))
        assert not torch.equal(coarse.model(x), was)
        assert torch.equal(graph.model(x), was)
    assert [(n.name, n.op, n.target) for n in graph.fx_graph.nodes] == nodes
    assert before.keys() == state(graph).keys()
    assert all(torch.equal(before[key], value) for key, value in state(graph).items())
    assert not any(graph.schemes.values())


@pytest.mark.parametrize("name", tagged("layers"))
def test_an_empty_scheme_makes_every_layer_float_again(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    coarse = graph.quantized(all_layers(graph, whole(COARSE)))
    back = coarse.quantized(all_layers(coarse, Scheme()))
    with torch.no_grad():
        assert torch.equal(back.model(x), graph.model(x))
    assert not any(back.schemes.values())


@pytest.mark.parametrize("name", tagged("layers"))
def test_quantising_again_replaces_the_scheme(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    twice = graph.quantized(all_layers(graph, whole(COARSE))).quantized(all_layers(graph, whole(FINE)))
    once = graph.quantized(all_layers(graph, whole(FINE)))
    assert twice.schemes == once.schemes
    with torch.no_grad():
        assert torch.equal(twice.model(x), once.model(x))
    wrapped = [module for module in twice.model.modules() if isinstance(module, Quantized)]
    assert bool(wrapped) == (graph.capture == "fx")
    assert not any(isinstance(module.layer, Quantized) for module in wrapped)


@pytest.mark.parametrize("name", tagged("layers"))
def test_a_copy_shares_no_weights(name: str) -> None:
    graph, x = Graph(build(name)), inputs(name)
    made = graph.copy()
    with torch.no_grad():
        was = graph.model(x)
        for parameter in made.model.parameters():
            parameter.add_(1.0)
        assert torch.equal(graph.model(x), was)
        assert not torch.equal(made.model(x), was)


@pytest.mark.parametrize("name", ZOO)
def test_networks_that_fx_follows_are_captured_by_it(name: str) -> None:
    assert (Graph(build(name)).capture == "fx") == ("traceable" in ZOO[name].tags)


def test_names_and_modules_are_those_that_the_lab_relies_on() -> None:
    graph = Graph(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
    assert [(node.op, node.target) for node in graph.fx_graph.nodes if node.op == "call_module"] == [
        ("call_module", "0"),
        ("call_module", "1"),
    ]
    assert all(
        isinstance(graph.modules[node.target], nn.Module)
        for node in graph.fx_graph.nodes
        if node.op == "call_module"
    )
    assert isinstance(graph.model, fx.GraphModule)


def test_layers_say_their_type_and_what_can_be_quantised() -> None:
    graph = Graph(build("token attention"))
    found = {layer.name: (layer.type, layer.tensors) for layer in graph.layers}
    assert found["embed"] == ("embedding", ("weight",))
    assert found["attend_linear"] == ("linear", ("data_in", "weight", "bias"))
    assert found["attend_attention"] == ("attention", ("data_in",))
    assert found["attend_linear_1"] == ("linear", ("data_in", "weight", "bias"))
    assert found["norm"] == ("layer_norm", ("data_in", "weight", "bias"))
    assert found["add"] == ("add", ("data_in",))
    assert found["mean"] == ("mean", ("data_in",))
    assert found["getitem"] == ("getitem", ())


def test_a_network_that_cannot_be_traced_is_captured_as_it_runs() -> None:
    graph = Graph(Untraceable())
    assert graph.capture == "running"
    assert "TraceError" in str(graph.capture_error)
    names = [layer.name for layer in graph.layers]
    assert names[:3] == ["first", "act", "again"]  # "never" is not called
    assert "never" not in names
    assert Graph(Shared()).capture == "fx"
    assert Graph(Shared()).capture_error is None


def test_torchs_own_transformer_is_opened_so_that_its_layers_can_be_quantised() -> None:
    graph = Graph(nn.Sequential(build("encoder layer"), nn.Linear(8, 2)))
    assert {"linear", "attention", "layer_norm"} <= {layer.type for layer in graph.layers}


def test_a_shared_module_takes_a_scheme_for_each_of_its_uses() -> None:
    graph, x = Graph(build("shared")), inputs("shared")
    second = [layer.name for layer in graph.layers if layer.type == "linear"][2]
    made = graph.quantized({second: whole(COARSE)})
    twice = graph.model.twice
    with torch.no_grad():
        hidden = torch.relu(twice(torch.relu(graph.model.first(x))))
        hidden = torch.relu(Quantized(copy.deepcopy(twice), whole(COARSE))(hidden))
        expected = graph.model.last(hidden) * graph.model.gain
        torch.testing.assert_close(made.model(x), expected, rtol=0, atol=0)
    assert made.schemes["twice"] == Scheme()
    assert made.schemes[second] == whole(COARSE)
    assert sum(p.numel() for p in made.model.parameters()) == sum(p.numel() for p in graph.model.parameters())


def test_every_reader_quantises_its_own_copy_of_a_tensor() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Identity(), nn.Linear(4, 4)
            self.relu, self.tanh = nn.ReLU(), nn.Tanh()

        def forward(self, x: Tensor) -> Tensor:
            x = self.left(x)
            return torch.stack([self.relu(x), self.tanh(x), x])

    x = normal(4)(8)
    made = Graph(Fork()).quantized({"relu": Scheme(Integer(3, 1)), "tanh": Scheme(Integer(6, 4))})
    relu, tanh, plain = made.model(x)
    assert torch.equal(relu, torch.relu(Integer(3, 1).quantize(x)))
    assert torch.equal(tanh, torch.tanh(Integer(6, 4).quantize(x)))
    assert torch.equal(plain, x)


def test_metadata_of_nodes_goes_with_the_copy() -> None:
    for name in ("residual", "untraceable"):
        graph = Graph(build(name))
        for node in graph.fx_graph.nodes:
            node.meta["note"] = node.name
        made = graph.quantized(all_layers(graph, whole(FINE)))
        assert all(node.meta["note"] == node.name for node in made.fx_graph.nodes if node.op != "output")


def test_an_unknown_node_is_an_error_that_says_where_to_look() -> None:
    with pytest.raises(UserError, match=r"nothing_here: no such node .*inspect"):
        Graph(build("concat")).scheme("nothing_here")


def test_running_in_eval_mode_leaves_every_modules_mode_as_it_was() -> None:
    model = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    model[1].eval()  # a frozen norm in a network that is being trained
    x = normal(4)(16)
    assert torch.equal(run_in_eval_mode(model, x), run_in_eval_mode(model, x))
    assert [module.training for module in model] == [True, False, True]
    with pytest.raises(RuntimeError):
        run_in_eval_mode(model, x[:, :3])
    assert [module.training for module in model] == [True, False, True]
