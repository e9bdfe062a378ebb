"""The pass that folds batch norms: the same outputs, and formats that reach their scale and shift."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.formats import Integer
from widthwise.network.exactness import is_scale
from widthwise.network.passes import fold_batchnorm_transform_pass
from widthwise.network.scheme import Scheme


def trained(network: nn.Module, *shape: int) -> nn.Module:
    """With statistics of its own."""
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(16, *shape) * 3 + 1)
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.affine:
                layer.weight.uniform_(0.5, 2)
                layer.bias.uniform_(-1, 1)
    return network.eval()


class Shared(nn.Module):
    """A layer that two read, and a norm that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.one, self.two = nn.BatchNorm1d(6), nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.two(self.b(self.one(h) + self.one(x)) + h)


@pytest.mark.parametrize(
    ("layers", "shape", "merged"),
    [
        ((nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU()), (6,), {"_1": "_0"}),
        ((nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4, affine=False)), (6,), {"_1": "_0"}),
        ((nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4)), (6,), {"_0": ""}),
        ((nn.BatchNorm1d(6), nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4)), (6,), {"_0": "_1", "_2": "_1"}),
        ((nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, stride=2)), (2, 5, 5), {"_0": "_1"}),
        ((nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding=1)), (2, 5, 5), {"_0": ""}),  # zeros are not scaled
        ((nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, padding="same")), (2, 5, 5), {"_0": ""}),
        ((nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3, groups=2)), (2, 5, 5), {"_0": ""}),
        ((nn.BatchNorm1d(4), nn.Linear(6, 3)), (4, 6), {"_0": ""}),  # a norm of the steps of sequences
        ((nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4)), (2, 5, 5), {"_1": "_0"}),
        ((nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)), (2, 5), {"_1": "_0"}),
        ((nn.ConvTranspose2d(2, 4, 3), nn.BatchNorm2d(4)), (2, 5, 5), {"_1": ""}),
        ((nn.Linear(6, 4), nn.ReLU(), nn.BatchNorm1d(4)), (6,), {"_2": ""}),
        ((Shared(),), (6,), {"_0_one": "", "_0_one_1": "", "_0_two": ""}),
        ((nn.Linear(6, 4), nn.BatchNorm1d(4)), (4, 6), {"_1": ""}),  # a norm of the steps of sequences
    ],
)
def test_outputs_stay_and_every_norm_is_merged_or_only_scales(
    layers: tuple[nn.Module, ...], shape: tuple[int, ...], merged: dict[str, str]
) -> None:
    torch.manual_seed(0)
    x = torch.randn(20, *shape) * 3
    graph = ww.Graph(trained(nn.Sequential(*layers), *shape), x)
    before = {name: value.clone() for name, value in graph.model.state_dict().items()}
    made, found = fold_batchnorm_transform_pass(graph, {})
    with torch.no_grad():
        torch.testing.assert_close(made.model(x), graph.model(x), rtol=1e-5, atol=1e-5)
    assert found == merged == made.folded
    norms = [layer.module for layer in made.layers if "norm" in layer.type]
    assert len(norms) == list(merged.values()).count("")
    assert all(is_scale(norm) for norm in norms if norm is not None)
    assert all(torch.equal(before[name], value) for name, value in graph.model.state_dict().items())


def test_formats_then_make_a_scale_of_fixed_point() -> None:
    torch.manual_seed(0)
    graph, _ = fold_batchnorm_transform_pass(ww.Graph(trained(nn.Sequential(nn.BatchNorm1d(6)), 6)), {})
    data_in, weight, bias = Integer(8, 4), Integer(16, 12), Integer(16, 20)
    made = graph.quantized({"_0": Scheme(data_in, weight, bias)})
    norm = graph.model.get_submodule("0")
    x = torch.randn(20, 6) * 3
    exact = data_in.quantize(x.double()) * weight.quantize(norm.weight) + bias.quantize(norm.bias)
    with torch.no_grad():
        assert (made.model(x).double() - exact).abs().max() < 2**-20 * exact.abs().max()


def test_what_it_is_not_for_is_told() -> None:
    graph = ww.Graph(nn.Sequential(nn.BatchNorm1d(6)).eval())
    with pytest.raises(UserError, match="has no arguments"):
        fold_batchnorm_transform_pass(graph, {"by": "type"})


def test_a_network_in_training_mode_keeps_its_statistics() -> None:
    network = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)).train()
    graph = ww.Graph(network, torch.randn(8, 6))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batchnorm_transform_pass(graph, {})
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_that_is_a_graph_already_is_folded_as_the_one_that_it_was_traced_from() -> None:
    network, x = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU()).eval(), torch.randn(5, 4)
    traced = ww.Graph(network, x).model
    wanted, _ = fold_batchnorm_transform_pass(ww.Graph(network, x), {})
    found, folded = fold_batchnorm_transform_pass(ww.Graph(traced, x), {})
    assert folded == {"_1": "_0"}
    assert torch.equal(found.model(x), wanted.model(x))
