"""The pass that equalises channels: the same outputs, weights alike in size, and only where that is so."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.network.passes import equalise_transform_pass, fold_batchnorm_transform_pass


def spread(network: nn.Module, seed: int) -> nn.Module:
    """The network with channels of very different sizes, and one that is dead."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
                size = 2.0 ** (4 * torch.randn(len(layer.weight), generator=generator))
                size[0] = 0.0
                layer.weight.mul_(size.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    return network.eval()


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, tuple[int, ...]]:
    """Chains of linear layers, or of convolutions (grouped, depthwise) with a head; a sample's shape."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    between = st.sampled_from([nn.ReLU, lambda: nn.LeakyReLU(0.1), nn.Identity, nn.Hardtanh, nn.ReLU6])
    bias, count = draw(st.booleans()), draw(st.integers(2, 4))
    if draw(st.booleans()):
        widths = [draw(st.integers(1, 6)) for _ in range(count + 1)]
        layers = [
            made
            for fan_in, fan_out in pairwise(widths)
            for made in (nn.Linear(fan_in, fan_out, bias=bias), draw(between)())
        ]
        return spread(nn.Sequential(*layers), draw(st.integers(0, 9))), (widths[0],)
    layers, channels = [], 2
    for _ in range(count):
        groups = draw(st.sampled_from([1, 2, channels]))
        out = channels * draw(st.sampled_from([1, 2])) if groups > 1 else draw(st.sampled_from([2, 4, 6]))
        layers += [nn.Conv2d(channels, out, 3, padding=1, groups=groups, bias=bias), draw(between)()]
        channels = out
    if draw(st.booleans()):
        layers += [nn.MaxPool2d(2)]
    side = 2 if isinstance(layers[-1], nn.MaxPool2d) else 4
    layers += [nn.Flatten(), nn.Linear(channels * side * side, 3)]
    return spread(nn.Sequential(*layers), draw(st.integers(0, 9))), (2, 4, 4)


@settings(deadline=None)
@given(networks())
def test_any_network_gives_what_it_gave(made: tuple[nn.Module, tuple[int, ...]]) -> None:
    network, shape = made
    before = copy.deepcopy(network.state_dict())
    graph = ww.Graph(network, torch.zeros(1, *shape))
    try:
        equal, pairs = equalise_transform_pass(graph, {})
    except UserError:
        assert {nn.ReLU6, nn.Hardtanh} & {type(layer) for layer in network}
        return
    x = 3 * torch.randn(5, *shape)
    wanted = copy.deepcopy(network).double()(x.double()).detach()
    tolerance = 1e-4 * float(wanted.abs().max()) + 1e-30
    torch.testing.assert_close(equal.model(x).double().detach(), wanted, rtol=1e-4, atol=tolerance)
    assert pairs == equal.equalised
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    names = {layer.name: layer.module for layer in graph.layers}
    for first, second in pairs.items():
        between = list(network)[int(first[1:]) + 1 : int(second[1:])]
        assert not any(isinstance(layer, nn.ReLU6 | nn.Hardtanh) for layer in between)
        assert {type(names[first]), type(names[second])} <= {nn.Linear, nn.Conv2d}


def ranges(graph: ww.Graph, first: str, second: str) -> tuple[Tensor, Tensor]:
    """By brute force, of linear layers or plain convolutions."""
    layers = {layer.name: layer.module for layer in graph.layers}
    made, read = layers[first].weight, layers[second].weight  # type: ignore[union-attr]
    return made.abs().flatten(1).amax(1), read.abs().transpose(0, 1).flatten(1).amax(1)  # type: ignore


def test_what_makes_and_reads_a_channel_is_alike_afterwards() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)]
    network = nn.Sequential(*layers)
    with torch.no_grad():
        network[0].weight.mul_((2.0 ** torch.arange(-4, 4)).reshape(-1, 1))
    equal, pairs = equalise_transform_pass(ww.Graph(network), {})
    assert pairs == {"_0": "_2", "_2": "_4"}
    for first, second in pairs.items():
        made, read = ranges(equal, first, second)
        torch.testing.assert_close(made, read, rtol=5e-3, atol=0.0)


def test_one_pair_is_scaled_by_the_root_of_the_ratio() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    equal, _ = equalise_transform_pass(ww.Graph(network), {})
    made, read = ranges(ww.Graph(network), "_0", "_2")
    size = (made / read).sqrt()
    layers = {layer.name: layer.module for layer in equal.layers}
    torch.testing.assert_close(layers["_0"].weight, network[0].weight / size[:, None])  # type: ignore
    torch.testing.assert_close(layers["_0"].bias, network[0].bias / size)  # type: ignore
    torch.testing.assert_close(layers["_2"].weight, network[2].weight * size)  # type: ignore


class Twice(nn.Module):
    """A layer that two read, one that is used twice, and tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(4, 4) for _ in range(4))
        self.d.weight = self.c.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        x = self.b(F.relu(x)) + x
        return self.d(F.relu(self.c(F.relu(self.b(F.relu(x))))))


class Axes(nn.Module):
    """A convolution whose steps a linear layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv1d(4, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(F.relu(self.conv(x)))
        return y


@pytest.mark.parametrize(
    ("network", "shape", "said"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.ReLU6(), nn.Linear(4, 2)), (4,), "_1 is behind _0"),
        (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), (4,), "_1 is behind _0"),
        (nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), (4,), "_1 is behind _0"),
        (nn.Linear(4, 2), (4,), "no two layers"),
        (Twice(), (4,), "2 read a"),
        (Axes(), (4, 4), "linear reads other axes than conv has channels along"),
    ],
)
def test_other_networks_are_refused_with_what_stands_between(
    network: nn.Module, shape: tuple[int, ...], said: str
) -> None:
    with pytest.raises(UserError, match=f"equalise: no two layers.*{said}"):
        equalise_transform_pass(ww.Graph(network.eval(), torch.zeros(2, *shape)), {})


def test_folded_norms_lie_no_more_between_layers() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4),
        nn.ReLU(), nn.Conv2d(4, 6, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    network.train()(torch.randn(32, 1, 8, 8) * 5)
    graph = ww.Graph(network.eval(), torch.zeros(1, 1, 8, 8))
    equal, pairs = equalise_transform_pass(fold_batchnorm_transform_pass(graph, {})[0], {})
    assert pairs == {"_0": "_3", "_3": "_6", "_6": "_9"}
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(equal.model(x), network(x), rtol=1e-4, atol=1e-5)
    assert equal.unfolded is graph
