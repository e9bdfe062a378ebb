"""Supernets: slices equal networks of their own, gradients reach the shared weights, training teaches all."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.widths.finding import find_groups
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings, score
from widthwise.training.supernet import Sandwich, Supernet, train_supernet


def attention() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(9, 16),
        nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True),
        nn.Flatten(),
        nn.Linear(16 * 5, 3),
    )


NETWORKS = {
    "mlp": (lambda: load_model("jsc-mlp"), torch.randn(6, 16)),
    "normalised mlp": (lambda: load_model("jsc-toy"), torch.randn(6, 16)),
    "cnn": (lambda: load_model("digits-cnn"), torch.randn(6, 1, 8, 8)),
    "resnet": (lambda: load_model("resnet8"), torch.randn(6, 3, 32, 32)),
    "grouped": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 8, 3),
            nn.Conv1d(8, 12, 3, groups=2),
            nn.Conv1d(12, 12, 1, groups=12),
            nn.Conv1d(12, 3, 4),
        ),
        torch.randn(6, 2, 8),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_slice_equals_its_network_at_every_width_in_turn(name: str):
    build, x = NETWORKS[name]
    groups = find_groups(build(), x)
    supernet = Supernet(build().eval(), groups)
    rng = np.random.default_rng(0)
    for _ in range(5):
        sizes = {g.name: int(rng.integers(1, g.size // g.blocks + 1)) * g.blocks for g in groups.groups}
        with torch.no_grad():
            assert torch.equal(supernet(x, sizes), supernet.network(sizes)(x))
    with torch.no_grad():
        assert torch.equal(supernet(x, {}), supernet.model(x))


def test_gradients_of_a_slice_reach_its_part_of_the_weights_alone():
    supernet = Supernet(load_model("jsc-mlp"), find_groups(load_model("jsc-mlp")))
    supernet(torch.randn(6, 16), {"layer0": 10, "layer1": 5}).sum().backward()
    gradient = supernet.model.get_parameter("layer1.weight").grad
    assert gradient is not None
    assert gradient[5:].abs().max() == gradient[:, 10:].abs().max() == 0
    assert gradient[:5, :10].abs().max() > 0


def test_training_teaches_every_width_and_keeps_the_random_state():
    data = load_data("digits", flatten=True)
    model = load_model("digits-mlp")
    space = WidthSpace(Graph(model), multipliers=[0.25, 0.5, 1])
    supernet = Supernet(copy.deepcopy(model), space.groups)
    random_state = torch.get_rng_state()
    heard: list[int] = []
    losses = train_supernet(
        supernet,
        data,
        Settings(epochs=25, learning_rate=1e-2),
        smallest=space.smallest,
        draw=lambda rng: space.sizes(space.sample(1, rng)[0]),
        progress=lambda number, loss: heard.append(number),
    )
    assert torch.equal(torch.get_rng_state(), random_state)
    assert losses[-1] < losses[0] / 4
    assert heard == list(range(1, 26))
    for candidate, least in (([0, 0], 0.6), ([1, 1], 0.8), ([2, 2], 0.88), ([0, 2], 0.6), ([2, 0], 0.6)):
        network = supernet.network(space.sizes(candidate), data)
        assert score(network, data.test_dataloader()).accuracy > least, candidate


def test_the_same_seed_trains_the_same_supernet():
    data = load_data("jsc")
    states = []
    for seed in (1, 1, 2):
        model = load_model("jsc-toy")
        space = WidthSpace(Graph(model), multipliers=[0.5, 1])
        supernet = Supernet(model, space.groups)
        train_supernet(
            supernet,
            data,
            Settings(steps=4),
            smallest=space.smallest,
            draw=lambda rng, space=space: space.sizes(space.sample(1, rng)[0]),
            sandwich=Sandwich(random=1, distil=False),
            seed=seed,
        )
        states.append({name: tensor.clone() for name, tensor in supernet.model.state_dict().items()})
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_divergence_and_widths_beyond_the_largest_are_refused():
    data = load_data("jsc")
    model = load_model("jsc-mlp")
    space = WidthSpace(Graph(model), multipliers=[0.5, 1])
    supernet = Supernet(model, space.groups)
    with pytest.raises(UserError, match=r"training the supernet diverged in epoch 1: the loss is .*; lower"):
        train_supernet(
            supernet,
            data,
            Settings(epochs=3, learning_rate=1e30, optimizer="sgd"),
            smallest=space.smallest,
            draw=lambda rng: space.largest,
        )
    with pytest.raises(UserError, match="layer0: the supernet has 64 channels, less than 65"):
        supernet.network({"layer0": 65})


def test_attention_slices_run_with_their_heads():
    model = attention().eval()
    x = torch.randint(0, 9, (4, 5))
    groups = find_groups(model, x)
    supernet = Supernet(model, groups)
    sizes = {groups.groups[0].name: 8}
    with torch.no_grad():
        assert torch.allclose(supernet(x, sizes), supernet.network(sizes)(x), atol=1e-6)
