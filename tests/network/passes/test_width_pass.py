"""The lab's pass in both its forms: what it makes, that it is pure, and inconsistent sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.passes.width import get_parent_name, instantiate_linear, redefine_linear_transform_pass
from widthwise.network.widths.groups import node_name


class JSC_Three_Linear_Layers(nn.Module):
    """As the lab's report has it: ReLU's argument is no size but `inplace`."""

    def __init__(self):
        super().__init__()
        self.seq_blocks = nn.Sequential(
            nn.BatchNorm1d(16),
            nn.ReLU(16),
            nn.Linear(16, 16),
            nn.ReLU(16),
            nn.Linear(16, 16),
            nn.ReLU(16),
            nn.Linear(16, 5),
            nn.ReLU(5),
        )

    def forward(self, x):
        return self.seq_blocks(x)


def config(**layers) -> dict:
    return {
        "by": "name",
        "default": {"config": {"name": None}},
        **{name: {"config": table} for name, table in layers.items()},
    }


def uniform(multiplier: float) -> dict:
    return config(
        seq_blocks_2={"name": "output_only", "channel_multiplier": multiplier},
        seq_blocks_4={"name": "both", "channel_multiplier": multiplier},
        seq_blocks_6={"name": "input_only", "channel_multiplier": multiplier},
    )


def pair(first: float, second: float) -> dict:
    return config(
        seq_blocks_2={"name": "output_only", "channel_multiplier_output": first},
        seq_blocks_4={
            "name": "both",
            "channel_multiplier_input": first,
            "channel_multiplier_output": second,
        },
        seq_blocks_6={"name": "input_only", "channel_multiplier_input": second},
    )


def widths(graph: Graph) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in graph.modules.values() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("multiplier", [1, 2, 3, 4, 0.5])
def test_the_first_form_multiplies_all_layers_alike(multiplier):
    graph = Graph(JSC_Three_Linear_Layers())
    made, info = redefine_linear_transform_pass(graph=graph, pass_args={"config": uniform(multiplier)})
    wide = int(16 * multiplier)
    assert widths(made) == [(16, wide), (wide, wide), (wide, 5)]
    assert info == {}
    assert made.model(torch.randn(3, 16)).shape == (3, 5)
    blocks = list(made.model.seq_blocks._modules.values())
    assert [type(block).__name__ for block in blocks] == ["BatchNorm1d", *["ReLU", "Linear"] * 3, "ReLU"]
    assert blocks[1].inplace


@pytest.mark.parametrize("multipliers", [(1, 2), (2, 3), (3, 4), (4, 1), (2, 4)])
def test_the_second_form_has_its_own_multiplier_for_each_side(multipliers):
    first, second = (16 * multiplier for multiplier in multipliers)
    made, _ = redefine_linear_transform_pass(Graph(JSC_Three_Linear_Layers()), {"config": pair(*multipliers)})
    assert widths(made) == [(16, first), (first, second), (second, 5)]
    made.model(torch.randn(3, 16))


def test_the_graph_and_the_config_stay_as_they_are():
    graph = Graph(JSC_Three_Linear_Layers())
    args = {"config": uniform(2)}
    before, given = {n: t.clone() for n, t in graph.model.state_dict().items()}, copy.deepcopy(args)
    for _ in range(2):
        redefine_linear_transform_pass(graph, args)
    assert args == given
    assert widths(graph) == [(16, 16), (16, 16), (16, 5)]
    assert all(torch.equal(before[name], tensor) for name, tensor in graph.model.state_dict().items())


def test_resized_layers_start_anew_by_the_seed_and_others_keep_their_weights():
    graph = Graph(JSC_Three_Linear_Layers())
    made = [redefine_linear_transform_pass(graph, {"config": uniform(2), "seed": s})[0] for s in (0, 0, 1)]
    states = [graph.model.state_dict() for graph in made]
    weight = "seq_blocks.4.weight"
    assert torch.equal(states[0][weight], states[1][weight])
    assert not torch.equal(states[0][weight], states[2][weight])
    assert torch.equal(states[0]["seq_blocks.0.weight"], graph.model.state_dict()["seq_blocks.0.weight"])
    bound = 1 / 32**0.5  # PyTorch's own initialisation of a layer with 32 inputs
    assert states[0][weight].abs().max() <= bound


def test_inherited_weights_keep_the_function():
    graph = Graph(JSC_Three_Linear_Layers().eval())
    made, _ = redefine_linear_transform_pass(graph, {"config": pair(2, 3), "weights": "inherit"})
    x = torch.randn(5, 16)
    assert torch.allclose(made.model(x.clone()), graph.model(x.clone()), atol=1e-5)


def test_norms_between_layers_follow():
    made, _ = redefine_linear_transform_pass(
        Graph(load_model("jsc-toy")),
        {
            "config": config(
                seq_blocks_2={"name": "output_only", "channel_multiplier": 2},
                seq_blocks_5={"name": "input_only", "channel_multiplier": 2},
            )
        },
    )
    assert made.modules["seq_blocks.3"].num_features == 16
    made.model.eval()(torch.randn(3, 16))


def test_convolutions_and_flattened_channels_are_multiplied_too():
    made, _ = redefine_linear_transform_pass(
        Graph(load_model("digits-cnn")),
        {
            "config": config(
                seq_blocks_4={"name": "output_only", "channel_multiplier": 1.5},
                seq_blocks_9={"name": "input_only", "channel_multiplier": 1.5},
            )
        },
    )
    assert made.modules["seq_blocks.9"].in_features == 96
    made.model.eval()(torch.randn(3, 1, 8, 8))


def test_layers_are_selected_by_type_and_regex():
    by_regex = {
        "by": "regex",
        "default": {"config": {"name": "NA"}},
        "layer[01]": {"config": {"name": "output_only", "channel_multiplier": 2}},
        "layer2": {"config": {"name": "input_only", "channel_multiplier": 2}},
    }
    with pytest.raises(UserError, match="layer1 takes 64 channels but layer0 now gives 128"):
        redefine_linear_transform_pass(Graph(load_model("jsc-mlp")), {"config": by_regex})
    by_regex["layer1"] = {"config": {"name": "both", "channel_multiplier": 2}}
    by_regex["layer0"] = by_regex.pop("layer[01]")
    made, _ = redefine_linear_transform_pass(Graph(load_model("jsc-mlp")), {"config": by_regex})
    assert widths(made) == [(16, 128), (128, 64), (64, 32), (32, 5)]


def test_nothing_to_change_is_a_copy():
    graph = Graph(JSC_Three_Linear_Layers())
    made, _ = redefine_linear_transform_pass(graph, {"config": config()})
    assert made is not graph
    assert widths(made) == widths(graph)


MISFITS = {
    "input too small": (
        config(seq_blocks_2={"name": "output_only", "channel_multiplier": 2}),
        "seq_blocks_4 takes 16 channels but seq_blocks_2 now gives 32; set channel_multiplier_input = 2 on "
        "seq_blocks_4",
    ),
    "input too large": (
        config(seq_blocks_4={"name": "input_only", "channel_multiplier": 3}),
        "seq_blocks_4 takes 48 channels but seq_blocks_2 now gives 16; set channel_multiplier_input = 1 on",
    ),
    "network input": (
        config(seq_blocks_2={"name": "both", "channel_multiplier": 2}),
        "seq_blocks_2 would take 32 channels but is given 16",
    ),
    "network output": (
        config(seq_blocks_6={"name": "output_only", "channel_multiplier": 2}),
        "seq_blocks_6: its 5 outputs can't change: they are outputs of the network",
    ),
    "zero": (
        config(seq_blocks_2={"name": "output_only", "channel_multiplier": 0}),
        "channel multiplier 0 is no number above 0",
    ),
    "none left": (
        config(seq_blocks_2={"name": "output_only", "channel_multiplier": 0.05}),
        "leaves seq_blocks_2 none of its 16 channels",
    ),
    "text": (
        config(seq_blocks_2={"name": "output_only", "channel_multiplier": "2"}),
        "channel multiplier '2' is no number above 0",
    ),
    "unknown layer": (
        config(seq_blocks_22={"name": "output_only", "channel_multiplier": 2}),
        "no layer named 'seq_blocks_22'; did you mean seq_blocks_2?",
    ),
    "unknown name": (
        config(seq_blocks_2={"name": "output", "channel_multiplier": 2}),
        "no width change named 'output'; did you mean output_only?",
    ),
    "unknown key": (
        config(seq_blocks_2={"name": "output_only", "chanel_multiplier": 2}),
        "no key named 'chanel_multiplier'; did you mean channel_multiplier?",
    ),
    "relu": (
        config(seq_blocks_3={"name": "output_only", "channel_multiplier": 2}),
        "seq_blocks_3 is a relu, which follows the layer before it; leave it out",
    ),
    "no default": ({"by": "name"}, "config.default: is missing"),
    "by": ({"by": "nam", "default": {"config": {"name": None}}}, "no way to select layers named 'nam'"),
    "no config": (None, 'needs {"config"'),
}


@pytest.mark.parametrize(("given", "says"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_is_refused_before_anything_runs(given, says: str):
    graph = Graph(JSC_Three_Linear_Layers())
    with pytest.raises(UserError) as caught:
        redefine_linear_transform_pass(graph, {"config": given})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_of_a_residual_network_names_both_layers():
    with pytest.raises(UserError, match="takes 16 channels but stem_0 now gives 32"):
        redefine_linear_transform_pass(
            Graph(load_model("resnet8")),
            {
                "config": {
                    "by": "name",
                    "default": {"config": {"name": None}},
                    "stem_0": {"config": {"name": "output_only", "channel_multiplier": 2}},
                    "block1_conv2": {"config": {"name": "output_only", "channel_multiplier": 2}},
                }
            },
        )


def test_helpers_are_as_the_lab_has_them():
    assert get_parent_name("seq_blocks.2") == ("seq_blocks", "2")
    assert get_parent_name("fc") == ("", "fc")
    with_bias = nn.Linear(3, 4)
    assert instantiate_linear(6, 8, with_bias.bias).bias.shape == (8,)
    assert instantiate_linear(6, 8, nn.Linear(3, 4, bias=False).bias).bias is None
    assert node_name("seq_blocks.2") == "seq_blocks_2"


def test_unknown_arguments_are_refused():
    with pytest.raises(UserError, match=r"no argument named 'wieghts'; did you mean weights\?"):
        redefine_linear_transform_pass(Graph(JSC_Three_Linear_Layers()), {"wieghts": "inherit"})
    with pytest.raises(UserError, match="no way to take weights named"):
        redefine_linear_transform_pass(
            Graph(JSC_Three_Linear_Layers()), {"weights": "keep", "config": config()}
        )
