"""Training several networks at once: each as if trained alone, whatever is trained beside it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.batches import Given
from torch import nn

from widthwise.core.errors import UserError
from widthwise.core.hashing import hash_weights
from widthwise.metrics.quality.classification import Classification
from widthwise.network.graph import Graph
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.resize import resized
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings, train
from widthwise.training.padding import Widest, fill, tensors_of
from widthwise.training.sources import Stacked, Widths, network_source
from widthwise.training.together import train_together

SHORT = Settings(epochs=3, learning_rate=1e-2)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    # what is padded is not zero after the sigmoid, and batch norms have statistics of it
    return nn.Sequential(
        nn.BatchNorm1d(6),
        nn.Linear(6, 8),
        nn.Sigmoid(),
        nn.Linear(8, 6, bias=False),  # a bias before a norm has no gradient but noise
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Linear(6, 3),
    )


def samples() -> Given:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(97, 6, generator=generator)
    y = (x[:, 0] + x[:, 1] ** 2).sign().long() + 1
    batches = [(x[start : start + 16], y[start : start + 16]) for start in range(0, 97, 16)]
    return Given(batches)


DATA, GRAPH = samples(), Graph(network())
SPACE = WidthSpace(GRAPH, multipliers=[0.5, 1, 1.5, 2], example=DATA)
WIDTHS = Widths(SPACE.smallest, SPACE.largest, lambda rng: SPACE.sizes(SPACE.sample(1, rng)[0]))
SIZES = [SPACE.sizes(candidate) for candidate in next(SPACE.enumerate())]


def source(how: Settings = SHORT, mode="scratch", *, stacked: bool = True):
    how_many = {"task": Classification(), "stacked": stacked}
    return network_source(mode, GRAPH, SPACE.groups, DATA, how, WIDTHS, **how_many)


TRAININGS = {
    "cosine": SHORT,
    "steps, in the middle of a pass": replace(SHORT, steps=10),
    "patience": replace(SHORT, epochs=12, patience=1, learning_rate=0.3),
    "weights of classes": replace(SHORT, class_weights=(1.0, 3.0, 0.5), label_smoothing=0.1),
    "sgd": replace(SHORT, optimizer="sgd", momentum=0.9, weight_decay=0.01),
}


@pytest.mark.parametrize("how", TRAININGS.values(), ids=TRAININGS.keys())
@pytest.mark.parametrize("mode", ["scratch", "inherit"])
def test_each_is_trained_as_it_would_be_alone(how: Settings, mode):
    if mode == "inherit":
        how = replace(how, distil=0.5)
    together, alone = source(how, mode), source(how, mode, stacked=False)
    for sizes, made in zip(SIZES[::5], together.networks(SIZES[::5], 1), strict=True):
        own = alone.network(sizes, 1).model.state_dict()
        assert own.keys() == made.model.state_dict().keys()
        for name, tensor in made.model.state_dict().items():
            assert torch.allclose(tensor, own[name], rtol=1e-3, atol=1e-4), name


def test_what_is_trained_beside_it_changes_no_bit():
    made = source()
    all_of_them = [hash_weights(one.model) for one in made.networks(SIZES, 0)]
    order = np.random.default_rng(0).permutation(len(SIZES))[:5]
    some = [hash_weights(one.model) for one in made.networks([SIZES[at] for at in order], 0)]
    assert some == [all_of_them[at] for at in order]
    assert hash_weights(made.network(SIZES[-1], 0).model) == all_of_them[-1]


@given(st.integers(1, 16), st.integers(1, 12), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_network_inside_the_widest_computes_what_it_computes(first: int, second: int, seed: int):
    groups = find_groups(GRAPH.network, DATA)
    names = [group.name for group in groups.groups]
    widest = Widest(GRAPH.network, groups, dict(zip(names, (16, 12), strict=True)), DATA)
    sizes = dict(zip(names, (first, second), strict=True))
    narrow = resized(GRAPH.network, groups, sizes, weights="scratch", seed=seed).eval()
    places, wide = widest.places(sizes), copy.deepcopy(widest.model).eval()
    with torch.no_grad():
        for name, tensor in tensors_of(wide).items():
            held = torch.zeros(tensor.numel(), dtype=tensor.dtype)
            held[places[name].flatten()] = tensors_of(narrow)[name].flatten()
            tensor.copy_(held.reshape(tensor.shape))
        x = torch.randn(9, 6, generator=torch.Generator().manual_seed(seed))
        assert torch.allclose(wide(x), narrow(x), atol=1e-5)
    back = resized(GRAPH.network, groups, sizes, weights="scratch", seed=seed + 1)
    fill(back, tensors_of(wide), places)
    assert hash_weights(back) == hash_weights(narrow)


def test_one_that_diverges_fails_alone():
    groups = SPACE.groups
    widest = Widest(GRAPH.network, groups, SPACE.largest, DATA)
    models = [resized(GRAPH.network, groups, sizes, weights="scratch") for sizes in SIZES[:3]]
    with torch.no_grad():
        models[1][1].weight.fill_(torch.inf)
    twin = copy.deepcopy(models[2])
    places = [widest.places(sizes) for sizes in SIZES[:3]]
    found = train_together(models, places, widest.model, DATA, SHORT)
    assert isinstance(found[1], UserError)
    assert "training diverged in epoch 1" in str(found[1])
    history = train(twin, DATA, SHORT)
    assert found[2].train_loss == pytest.approx(history.train_loss, rel=1e-3)
    assert found[2].best_epoch == history.best_epoch


REFUSED = {
    "a layer that looks at all channels": (
        nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)),
        "stacked: padded with zeros to the widest a network gives other outputs",
    ),
    "random numbers": (
        nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)),
        "stacked: several of these networks can't be trained at once",
    ),
}


@pytest.mark.parametrize(("model", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cant_be_stacked_is_refused_before_any_training(model: nn.Module, says: str):
    graph = Graph(model)
    space = WidthSpace(graph, multipliers=[0.5, 1, 2], example=DATA)
    widths = Widths(space.smallest, space.largest, lambda rng: space.largest)
    with pytest.raises(UserError) as caught:
        network_source(
            "scratch", graph, space.groups, DATA, SHORT, widths, task=Classification(), stacked=True
        )
    assert says in str(caught.value)
    assert "leave it out" in str(caught.value)


def test_a_supernet_is_not_stacked():
    with pytest.raises(UserError, match="stacked: a supernet is one training for all"):
        source(mode="supernet")


def test_mixed_precision_is_not_stacked():
    with pytest.raises(UserError, match="stacked: goes without mixed_precision"):
        source(replace(SHORT, mixed_precision=True))


def test_the_network_itself_stays_as_it_is():
    before = hash_weights(GRAPH.model)
    made = source(mode="inherit")
    assert isinstance(made, Stacked)
    made.network(SPACE.smallest, 0)
    assert hash_weights(GRAPH.model) == before
