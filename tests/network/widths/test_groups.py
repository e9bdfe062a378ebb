"""Groups of coupled channels: what belongs together, what is fixed, and that the definition holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.networks import Mixed, build, inputs, tagged, trained_like
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.widths.changes import Change
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.rebuild import rebuilt

SIZES = {  # name: (size, blocks)
    "mlp": {"layer0": (64, 1), "layer1": (32, 1), "layer2": (32, 1)},
    "normalised mlp": {"seq_blocks.2": (8, 1), "seq_blocks.5": (8, 1)},
    "three linear": {"seq_blocks.2": (16, 1), "seq_blocks.4": (16, 1)},
    "cnn": {"seq_blocks.0": (8, 1), "seq_blocks.4": (16, 1)},
    "resnet": {
        "stem.0": (16, 1),
        "block1.conv1": (16, 1),
        "block2.conv1": (32, 1),
        "block2.conv2": (32, 1),
        "block3.conv1": (64, 1),
        "block3.conv2": (64, 1),
    },
    "mixed": {"stem": (8, 2), "grouped": (16, 4), "joined": (6, 1)},
    "transformer": {"embedding": (16, 4), "encoder.linear1": (32, 1)},
    "gated": {"both": (12, 1), "hidden": (8, 1)},
    "sloped": {"first": (12, 1), "second": (8, 1)},
    "shared": {"first": (12, 1)},
    "transposed": {"first": (6, 2), "up": (8, 2)},
}


@pytest.mark.parametrize("name", tagged("groups"))
def test_groups_have_their_sizes_and_outputs_are_fixed(name: str):
    groups = find_groups(build(name), inputs(name))
    assert {group.name: (group.size, group.blocks) for group in groups.groups} == SIZES[name]
    assert [fixed.reason for fixed in groups.fixed] == ["they are outputs of the network"]


@pytest.mark.parametrize("name", tagged("groups"))
def test_another_order_of_units_leaves_the_function(name: str):
    model, x = trained_like(build(name)), inputs(name)
    groups = find_groups(model, x)
    rng = np.random.default_rng(3)
    for group in groups.groups:
        each = group.size // group.blocks
        order = [block * each + rng.permutation(each) for block in range(group.blocks)]
        shuffled = rebuilt(model, groups, {group.name: Change(np.concatenate(order))})
        assert torch.allclose(shuffled.eval()(x), model(x), atol=1e-5)


def test_members_of_a_residual_block_are_one_group():
    groups = find_groups(Mixed(), inputs("mixed"))
    members = {(member.owner, member.side) for member in groups["stem"].members}
    assert members == {
        ("stem", "out"),
        ("norm", "out"),
        ("inner", "in"),
        ("inner", "out"),
        ("depthwise", "out"),
        ("grouped", "in"),
        ("joined", "in"),
    }


def test_a_group_answers_to_each_producer_and_its_node():
    groups = find_groups(load_model("resnet8"))
    for name in ("block2.conv2", "block2_conv2", "block2.shortcut", "block2_shortcut"):
        assert groups[name].name == "block2.conv2"


def test_unknown_and_fixed_groups_are_told_apart():
    groups = find_groups(load_model("jsc-mlp"))
    with pytest.raises(
        UserError, match=r"no group named 'layer9'; did you mean layer.\? allowed: layer0, layer1"
    ):
        groups["layer9"]
    with pytest.raises(UserError, match="layer3: its channels can't be resized: they are outputs"):
        groups["layer3"]


class AddsInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(x) + x)


class FixedShape(nn.Module):
    """Reads its channels by a number in its code."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 12), nn.Linear(12, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(hidden)).reshape(-1, 12))


class Sorted(nn.Module):
    """What the second layer reads are no channels, but places in an order."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(16, 12), nn.Linear(12, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.second(self.first(x).sort(-1).values)))


@pytest.mark.parametrize(
    ("model", "fixed", "free"),
    [(AddsInput(), "inner", []), (FixedShape(), "second", ["first"]), (Sorted(), "first", ["second"])],
)
def test_what_is_not_free_to_change_is_fixed_and_the_rest_still_works(model, fixed: str, free: list):
    groups = find_groups(model, torch.randn(4, 16))
    assert fixed in {known.name for known in groups.fixed}
    assert [group.name for group in groups.groups] == free


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).detach())


def test_channels_are_followed_where_gradients_are_cut():
    assert [group.name for group in find_groups(Detached(), torch.randn(4, 16)).groups] == ["first"]


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.refuses = nn.Linear(16, 12), Refuses()

    def forward(self, x: Tensor) -> Tensor:
        return self.refuses(self.first(x))


class Refuses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no values of\nthis kind")


def test_a_network_that_does_not_run_says_where_in_one_line():
    with pytest.raises(UserError) as caught:
        find_groups(Broken(), torch.randn(4, 16))
    text = str(caught.value)
    assert "the channels of Broken can't be followed in refuses (Refuses)" in text
    assert text.endswith("its widths can't be changed or searched, but formats can be")
    assert "\n" not in text


def test_finding_leaves_the_network_and_the_random_state():
    model = load_model("resnet8").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    find_groups(model)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_groups_of_a_graph_and_of_its_module_agree():
    data = load_data("digits")
    model = load_model("digits-cnn")
    by_graph, by_module = find_groups(Graph(model), data), find_groups(model)
    assert by_graph.groups == by_module.groups


def test_an_input_that_cannot_be_guessed_is_asked_for():
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(UserError, match="give an example input"):
        find_groups(Odd())
