"""Networks of timm and transformers: their groups, and that each of these can be resized."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from helpers.metrics import metrics_of
from helpers.networks.others import TRANSFORMERS, of_timm, of_transformers
from widthwise.metrics.cost.of_widths import WidthCosts
from widthwise.network.graph import Graph
from widthwise.network.stored import attribute
from widthwise.network.widths.changes import Change
from widthwise.network.widths.finding import find_groups
from widthwise.network.widths.rebuild import rebuilt
from widthwise.network.widths.resize import resized

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages' own


def logits(model: nn.Module, x: tuple[torch.Tensor, ...]) -> torch.Tensor:
    with torch.no_grad():
        found = model.eval()(*x)
    return found if isinstance(found, torch.Tensor) else found.logits


HEADS = {  # group of heads, its units, what reads the second of them: weight, axis, places
    "bert": (
        "bert.encoder.layer.0.attention.self.query",
        4,
        "bert.encoder.layer.0.attention.output.dense",
        1,
        8,
    ),
    "llama": ("model.layers.0.self_attn.q_proj", 2, "model.layers.0.self_attn.o_proj", 1, 16),
    "gpt2": ("transformer.h.0.attn.c_attn", 4, "transformer.h.0.attn.c_proj", 0, 8),
}


@pytest.mark.parametrize("name", HEADS)
def test_removing_a_head_equals_reading_nothing_of_it(name: str):
    model, x = of_transformers(name)
    group, size, reader, axis, width = HEADS[name]
    groups = find_groups(model, x)
    assert groups[group].size == size
    kept = torch.tensor([unit for unit in range(size) if unit != 1]).numpy()
    removed = rebuilt(model, groups, {group: Change(kept)})
    silenced = copy.deepcopy(model)
    with torch.no_grad():
        attribute(silenced, f"{reader}.weight").index_fill_(axis, torch.arange(width, 2 * width), 0)
    assert not torch.allclose(logits(silenced, x), logits(model, x), atol=1e-6)
    assert torch.allclose(logits(removed, x), logits(silenced, x), atol=1e-6)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_every_group_of_a_transformer_can_be_resized(name: str):
    model, x = of_transformers(name)
    groups = find_groups(model, x)
    assert [known.reason for known in groups.fixed] == ["they are outputs of the network"]
    heads = [group for group in groups.groups if group.size == (2 if name == "llama" else 4)]
    inner = [group for group in groups.groups if group.size == (128 if name == "gpt2" else 64)]
    assert (len(heads), len(inner)) == (2, 2)
    for group in groups.groups:
        smaller = resized(model, groups, {group.name: group.size // 2}, weights="scratch")
        assert logits(smaller, x).shape == logits(model, x).shape
        grown = resized(model, groups, {group.name: 2 * group.size})
        assert torch.allclose(logits(grown, x), logits(model, x), atol=1e-5)


CHANNELS = {  # groups and channels of all of them
    "resnet18": (12, 2880),
    "mobilenetv3_small_100": (27, 4872),
    "regnetx_002": (31, 7160),
    "repvgg_a0": (5, 1664),
    "convnext_atto": (16, 7960),
    "vit_tiny_patch16_224": (25, 9444),
}
LARGE = {
    "efficientnet_b0": (40, 11404),
    "densenet121": (120, 10240),
    "mixer_s32_224": (17, 18944),
    "swin_tiny_patch4_window7_224": (28, 19242),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "counts"), [*CHANNELS.items(), *LARGE.items()])
def test_groups_of_image_networks(name: str, counts: tuple[int, int]):
    model, x = of_timm(name)
    groups = find_groups(model, x)
    assert (len(groups.groups), sum(group.size for group in groups.groups)) == counts


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_image_networks_run_at_half_of_all_sizes(name: str):
    model, x = of_timm(name)
    groups = find_groups(model, x)
    sizes = {group.name: group.nearest_size(group.size / 2) for group in groups.groups}
    for weights in ("inherit", "scratch"):
        made = resized(model, groups, sizes, weights=weights)
        assert logits(made, x).shape == (2, 10)
        assert sum(p.numel() for p in made.parameters()) < sum(p.numel() for p in model.parameters()) / 2


@pytest.mark.parametrize("name", ["bert", "gpt2", "vit"])
def test_costs_of_a_transformers_widths_are_those_of_each_network(name: str):
    model, x = of_transformers(name)
    graph, groups = Graph(model), find_groups(model, x)
    varying = [group.name for group in groups.groups][:3]  # channels, heads, the inner width
    largest = {name: groups[name].size for name in varying}
    costs = WidthCosts(graph, groups, x, varying=varying, largest=largest)
    for sizes in ({varying[0]: 16}, {varying[1]: 3}, {varying[1]: 1, varying[2]: 8}):
        small = resized(model, groups, sizes, weights="scratch")
        table = np.array([list((largest | sizes).values())])
        found = costs(metrics_of("parameters"), table)["parameters"][0]
        assert found == sum(p.numel() for p in small.parameters())
