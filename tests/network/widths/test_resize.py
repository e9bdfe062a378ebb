"""Resizing: shapes, what shrinking keeps, that growing keeps the function, and sizes that can't be."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_pruning import DependencyGraph
from torch_pruning.pruner.function import prune_conv_out_channels, prune_linear_out_channels

from helpers.networks import build, inputs, tagged, trained_like
from widthwise.core.errors import UserError
from widthwise.data.modules import load_data
from widthwise.network.built_in import RELU_OUTPUT_START
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.network.widths.changes import shrunk
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.kinds import channel_count
from widthwise.network.widths.resize import resize, resized
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.network.widths.unit_scores import unit_scores
from widthwise.training import fit, score

NETWORKS = {name: (trained_like(build(name)), inputs(name)) for name in tagged("groups")}
GROUPS = {name: find_groups(model, x) for name, (model, x) in NETWORKS.items()}
MIXES = {"mixed", "transformer"}  # norms over channels: only multiples keep the function


def difference(first: nn.Module, second: nn.Module, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float((first.eval()(x) - second.eval()(x)).abs().max())


@pytest.mark.parametrize("name", tagged("groups"))
@settings(max_examples=6)
@given(factors=st.lists(st.floats(1, 3), min_size=6, max_size=6), seed=st.integers(0, 9))
def test_growing_keeps_the_function(name: str, factors: list[float], seed: int):
    (model, x), groups = NETWORKS[name], GROUPS[name]
    if name in MIXES:
        factors = [float(round(factor)) for factor in factors]
    sizes = {
        group.name: max(group.size, group.nearest_size(group.size * factor))
        for group, factor in zip(groups.groups, factors, strict=False)
    }
    grown = resized(model, groups, sizes, seed=seed)
    assert difference(model, grown, x) < 1e-5


def test_grown_units_learn():
    data = load_data("jsc")
    model = load_model("jsc-mlp")
    fit(model, data, epochs=3)
    grown = resized(model, find_groups(model), {"layer1": 48})
    before = {name: tensor.clone() for name, tensor in grown.state_dict().items()}
    fit(grown, data, epochs=3)
    after = grown.state_dict()
    made = (after["layer1.weight"] != before["layer1.weight"]).any(dim=1)
    read = (after["layer2.weight"] != before["layer2.weight"]).any(dim=0)
    assert made[32:].sum() > 12  # but for units that no sample activates
    assert read[32:].sum() > 12


def test_split_units_go_separate_ways():
    model, _ = NETWORKS["transformer"]
    grown = resized(model, GROUPS["transformer"], {"embedding": 32}, seed=1)
    weight = dict(grown.named_parameters())["head.weight"]
    half = weight[:, [0, 1, 2, 3]], weight[:, [4, 5, 6, 7]]  # units and copies of the first head
    assert not torch.allclose(*half)


@pytest.mark.parametrize("name", ["mlp", "cnn", "resnet", "shared"])
def test_shrinking_equals_torch_pruning(name: str):
    (model, x), groups = NETWORKS[name], GROUPS[name]
    scores = unit_scores(model, groups)
    group = groups.groups[0]
    change = shrunk(group, group.size // 2, scores[group.name])
    ours = resized(model, groups, {group.name: group.size // 2})
    theirs = copy.deepcopy(model)
    root = theirs.get_submodule(group.producers[0])
    pruner = prune_linear_out_channels if isinstance(root, nn.Linear) else prune_conv_out_channels
    dropped = sorted(set(range(group.size)) - set(change.sources.tolist()))
    graph = DependencyGraph().build_dependency(theirs, x, verbose=False)
    graph.get_pruning_group(root, pruner, dropped).prune()
    theirs.eval()
    assert difference(ours, theirs, x) == 0
    assert {n: t.shape for n, t in ours.state_dict().items()} == {
        n: t.shape for n, t in theirs.state_dict().items()
    }


@pytest.mark.parametrize("name", tagged("groups"))
@settings(max_examples=6)
@given(share=st.floats(0.01, 2.0), seed=st.integers(0, 3))
def test_any_allowed_size_runs_with_its_shapes(name: str, share: float, seed: int):
    (model, x), groups = NETWORKS[name], GROUPS[name]
    sizes = {group.name: group.nearest_size(group.size * share) for group in groups.groups}
    made = resized(model, groups, sizes, weights="scratch", seed=seed)
    with torch.no_grad():
        assert made.eval()(x).shape == model(x).shape
    for group in groups.groups:
        for producer in set(group.producers) & dict(model.named_modules()).keys():
            old, new = (channel_count(m.get_submodule(producer), "out") for m in (model, made))
            assert new == old * sizes[group.name] // group.size


def test_dead_units_go_first():
    model = copy.deepcopy(NETWORKS["mlp"][0])
    dead = [3, 17, 40]
    with torch.no_grad():
        for tensor in (model.layer0.weight, model.layer0.bias):
            tensor[dead] = 0
        model.layer1.weight[:, dead] = 0
    x = NETWORKS["mlp"][1]
    smaller = resized(model, GROUPS["mlp"], {"layer0": 61})
    assert difference(model, smaller, x) < 1e-6


def test_batch_norm_importance_reads_the_scale():
    model = copy.deepcopy(NETWORKS["normalised mlp"][0])
    groups = GROUPS["normalised mlp"]
    scale = torch.tensor([0.1, 5, 0.2, 4, 0.3, 3, 0.4, -2])
    with torch.no_grad():
        model.get_submodule("seq_blocks.3").weight.copy_(scale)
    made = resized(model, groups, {"seq_blocks.2": 4}, importance="batch_norm")
    assert made.get_submodule("seq_blocks.3").weight.tolist() == [5, 4, 3, -2]


def test_taylor_importance_is_the_change_of_the_loss_to_first_order():
    data = load_data("jsc", batch_size=1024)
    model = load_model("jsc-mlp")
    groups = find_groups(model)
    found = unit_scores(model, groups, how="taylor", data=data)["layer2"]
    x, y = next(iter(data.train_dataloader()))
    step = 1e-3
    for unit in (0, 7, 31):
        losses = []
        for factor in (1 - step, 1 + step):
            changed = copy.deepcopy(model).double()
            with torch.no_grad():
                changed.layer3.weight[:, unit] *= factor
            losses.append(torch.nn.functional.cross_entropy(changed(x.double()), y).item())
        readers = abs(losses[1] - losses[0]) / (2 * step)
        losses = []
        for factor in (1 - step, 1 + step):
            changed = copy.deepcopy(model).double()
            with torch.no_grad():
                changed.layer2.weight[unit] *= factor
            losses.append(torch.nn.functional.cross_entropy(changed(x.double()), y).item())
        makers = abs(losses[1] - losses[0]) / (2 * step)
        assert found[unit] == pytest.approx(readers + makers, rel=1e-2, abs=1e-6)


def test_taylor_without_data_is_refused_and_leaves_no_gradients():
    model = load_model("jsc-mlp")
    with pytest.raises(UserError, match="taylor needs data"):
        unit_scores(model, find_groups(model), how="taylor")
    unit_scores(model, find_groups(model), how="taylor", data=load_data("jsc"))
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(UserError, match=r"no importance named 'magnitud'; did you mean magnitude\?"):
        unit_scores(model, find_groups(model), how="magnitud")  # type: ignore[arg-type]


def test_resize_leaves_the_graph_and_measures_norms_anew():
    data = load_data("digits")
    model = load_model("digits-cnn")
    fit(model, data, epochs=10)
    graph = Graph(model)
    before = score(graph.model, data.val_dataloader()).accuracy
    stale = resize(graph, {"seq_blocks_0": 6, "seq_blocks_4": 14})
    fresh = resize(graph, {"seq_blocks_0": 6, "seq_blocks_4": 14}, data=data)
    assert score(graph.model, data.val_dataloader()).accuracy == before
    with_stale, with_fresh = (score(g.model, data.val_dataloader()).loss for g in (stale, fresh))
    assert with_fresh < with_stale


def test_measured_norms_are_the_mean_and_variance_of_all_samples():
    data = load_data("jsc", batch_size=1024)
    model = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8))
    model[1].train()
    assert reestimate_norms(model, data.train_dataloader()) == 1
    x = torch.cat([x for x, _ in data.train_dataloader()])
    hidden = model[0](x)
    assert torch.allclose(model[1].running_mean, hidden.mean(0), atol=1e-5)
    assert torch.allclose(model[1].running_var, hidden.var(0), rtol=1e-4)
    assert (model[1].momentum, model[1].training) == (0.1, True)


def test_scratch_starts_anew_by_the_seed_and_live():
    graph = Graph(load_model("jsc-three-linear"))
    one, again, other = (
        resize(graph, {"seq_blocks_2": 20}, weights="scratch", seed=seed).model for seed in (1, 1, 2)
    )
    weight = "seq_blocks.4.weight"
    assert torch.equal(one.state_dict()[weight], again.state_dict()[weight])
    assert not torch.equal(one.state_dict()[weight], other.state_dict()[weight])
    assert (one.state_dict()["seq_blocks.6.bias"] == RELU_OUTPUT_START).all()


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, 8), nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(x).mean(1))


def test_tied_weights_stay_tied_and_cannot_grow():
    x = torch.randint(0, 11, (4, 5))
    model = Tied()
    groups = find_groups(model, x)
    smaller = resized(model, groups, {"embedding": 6})
    assert smaller.head.weight is smaller.embedding.weight
    with pytest.raises(UserError, match=r"embedding.weight and head.weight are one weight"):
        resized(model, groups, {"embedding": 12})


BAD_SIZES = {
    "zero": ("mlp", {"layer0": 0}, "layer0: 0 channels; a group needs at least 1"),
    "negative": ("mlp", {"layer0": -3}, "layer0: -3 channels"),
    "fraction": ("mlp", {"layer0": 2.5}, "size 2.5 is no whole number"),
    "unknown": ("mlp", {"layer7": 3}, "no group named 'layer7'; did you mean layer"),
    "output": ("mlp", {"layer3": 3}, "layer3: its channels can't be resized: they are outputs"),
    "grouped convolution": (
        "mixed",
        {"grouped": 15},
        "can't have 15 channels: its layers divide them into 4 equal parts; the nearest that works is 16",
    ),
    "attention heads": ("transformer", {"embedding": 10}, "4 equal parts; the nearest that works is 8"),
    "norm over channels": (
        "transformer",
        {"embedding": 20},
        "the nearest size that keeps the function is 32",
    ),
}


@pytest.mark.parametrize(("name", "sizes", "says"), BAD_SIZES.values(), ids=BAD_SIZES.keys())
def test_sizes_that_cannot_be_are_refused_in_one_line(name: str, sizes: dict, says: str):
    with pytest.raises(UserError) as caught:
        resized(NETWORKS[name][0], GROUPS[name], sizes)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_that_are_refused_name_ones_that_work():
    (model, x), groups = NETWORKS["transformer"], GROUPS["transformer"]
    for size in (8, 16, 20):
        made = resized(model, groups, {"embedding": size}, weights="scratch")
        with torch.no_grad():
            assert made.eval()(x).shape == (4, 3)


def test_an_unknown_way_to_take_weights_is_refused():
    with pytest.raises(UserError, match=r"no way to take weights named 'inherits'; did you mean inherit\?"):
        resized(NETWORKS["mlp"][0], GROUPS["mlp"], {}, weights="inherits")  # type: ignore[arg-type]


def test_shares_of_copies_add_up_to_one():
    from widthwise.network.widths.channels import Channels

    side = Channels(torch.tensor([0, 1, 2, 1, 1, 0]), split=True)
    shares = side.shares(3, torch.Generator().manual_seed(0))
    sums = np.zeros((3, 3))
    for column, unit in enumerate(side.index.tolist()):
        sums[:, unit] += shares[:, column].numpy()
    assert np.allclose(sums, 1)
