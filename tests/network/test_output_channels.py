"""Scales of channels go with the outputs of a layer, wherever its weight has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import widthwise as ww
from helpers.networks import normal
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import Evaluator
from widthwise.formats import ScaledInteger, parse
from widthwise.network.graph import Graph
from widthwise.network.output_channels import OutputAxis, for_weight, of_layer, of_module, output_axis
from widthwise.network.passes.calibrate import calibrate_transform_pass
from widthwise.network.passes.quantize import quantize_transform_pass
from widthwise.network.scheme import Scheme
from widthwise.spaces.quantisation import QuantisationSpace

CONFIG = {"name": "scaled_integer", "weight_width": 4, "weight_per": "channel"}
FUNCTIONS = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
LAYERS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class Upsampler(nn.ConvTranspose2d):
    """A class of the user's own."""


def uneven(layer: nn.Module, groups: int) -> nn.Module:
    """The layer with outputs of very different magnitudes, [in, out / groups, …] each."""
    parts = layer.weight.detach().chunk(groups)
    outputs = layer.out_channels
    with torch.no_grad():
        for group, part in enumerate(parts):
            for index in range(part.shape[1]):
                part[:, index] *= 10.0 ** (-(group * part.shape[1] + index) % outputs)
    return layer.eval()


def transposed(dimensions: int, groups: int) -> nn.Module:
    torch.manual_seed(0)
    return uneven(LAYERS[dimensions](4, 6 if groups < 4 else 8, 3, groups=groups, bias=False), groups)


def channel_by_channel(layer: nn.Module, width: int) -> Tensor:
    """The weight with a symmetric scale for each output, by torch, group by group."""
    greatest = 2 ** (width - 1) - 1
    parts = []
    for part in layer.weight.detach().chunk(layer.groups):
        scales = part.transpose(0, 1).flatten(1).abs().amax(1) / greatest
        zeros = torch.zeros(len(scales), dtype=torch.int32)
        parts.append(
            torch.fake_quantize_per_channel_affine(part.contiguous(), scales, zeros, 1, -greatest, greatest)
        )
    return torch.cat(parts)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


CASES = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (2, 4), (3, 2)]


@pytest.mark.parametrize(("dimensions", "groups"), CASES)
def test_a_transposed_convolution_has_a_scale_for_each_output(dimensions: int, groups: int) -> None:
    layer = transposed(dimensions, groups)
    x = torch.randn(2, 4, *(5,) * dimensions)
    graph, _ = quantize_transform_pass(
        Graph(nn.Sequential(layer)), {f"conv_transpose{dimensions}d": {"config": CONFIG}}
    )
    calibrated, schemes = calibrate_transform_pass(graph, {"data": x})
    expected = FUNCTIONS[dimensions](x, channel_by_channel(layer, 4), groups=groups)
    with torch.no_grad():
        for found in (graph.model(x), calibrated.model(x)):
            torch.testing.assert_close(found, expected)
            assert (found.transpose(0, 1).flatten(1).abs().amax(1) > 0).all()  # no output is lost
    (scheme,) = schemes.values()
    assert len(scheme.weight.scale) == layer.out_channels
    by_output = [
        part[:, index].abs().amax() / 7
        for part in layer.weight.detach().chunk(groups)
        for index in range(part.shape[1])
    ]
    assert torch.equal(torch.tensor(scheme.weight.scale), torch.stack(by_output))


@pytest.mark.parametrize(("dimensions", "groups"), CASES)
def test_storage_counts_a_scale_for_each_output(dimensions: int, groups: int) -> None:
    layer = transposed(dimensions, groups)
    fmt = for_weight(ScaledInteger(4, per="channel"), of_module(layer))
    assert fmt.storage_bits(layer.weight.shape) == 4 * layer.weight.numel() + 32 * layer.out_channels


def test_wherever_formats_come_from_they_go_with_the_outputs() -> None:
    """A pass, a scheme by hand, a space's slots, the engine, its exact cost: one format."""
    torch.manual_seed(0)
    model = nn.Sequential(transposed(2, 2), nn.Flatten(), nn.Linear(6 * 36, 3)).eval()
    graph, expected = Graph(model), parse("int<4,groups=2>/channel@1")
    by_hand = graph.quantized({"_0": Scheme(weight=ScaledInteger(4, per="channel"))})
    assert by_hand.scheme("_0").weight == expected
    by_pass, schemes = quantize_transform_pass(graph, {"by": "name", "_0": {"config": CONFIG}})
    assert by_pass.scheme("_0").weight == expected == schemes["_0"].weight
    config = {**CONFIG, "weight_width": [2, 4]}
    space = QuantisationSpace(graph, by="name", seed={"_0": {"config": config}})
    (slot,) = space.slots
    assert slot.formats[1] == expected

    x, y = torch.randn(20, 4, 4, 4), torch.randint(0, 3, (20,))
    loader = SimpleNamespace(train_dataloader=lambda: [(x, y)], val_dataloader=lambda: [(x, y)])
    evaluator = Evaluator(graph, space, loader, metrics=["loss", "model_size"])
    candidates = space.at([0, 1])
    rows = evaluator(candidates)
    for row, width in enumerate((2, 4)):
        weight = channel_by_channel(model[0], width)
        with torch.no_grad():
            outputs = model[2](functional.conv_transpose2d(x, weight, groups=2).flatten(1))
            assert rows["loss"][row] == pytest.approx(float(functional.cross_entropy(outputs, y)), rel=1e-5)
    more = rows["model_size"][1] - rows["model_size"][0]
    assert more == 2 * model[0].weight.numel() / 8
    whole = ww.evaluate(evaluator.network(candidates[1]), loader, metrics=["loss", "model_size"])
    assert whole["loss"] == pytest.approx(rows["loss"][1], rel=1e-6)
    assert whole["model_size"] == rows["model_size"][1]


@pytest.mark.parametrize(
    ("layer", "written"),
    [
        (nn.Linear(3, 4), "int<4>/channel"),
        (nn.Conv2d(4, 6, 3, groups=2), "int<4>/channel"),
        (nn.Embedding(5, 3), "int<4>/channel"),
        (nn.Bilinear(3, 4, 5), "int<4>/channel"),
        (nn.MultiheadAttention(4, 2), "int<4>/channel"),
        (nn.LSTM(3, 4), "int<4>/channel"),
        (nn.BatchNorm1d(3), "int<4>/channel"),
        (nn.ConvTranspose1d(4, 6, 3), "int<4>/channel@1"),
        (Upsampler(4, 6, 3, groups=2), "int<4,groups=2>/channel@1"),
        (nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(4, 6, 3)), "int<4>/channel@1"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_layers_have_their_outputs_there(layer: nn.Module, written: str) -> None:
    place = of_module(layer)
    assert repr(for_weight(ScaledInteger(4, per="channel"), place)) == written
    assert for_weight(for_weight(ScaledInteger(4, per="channel"), place), place) == parse(written)


@pytest.mark.parametrize(
    "function",
    [
        functional.linear,
        torch.matmul,
        lambda x, w: torch.addmm(torch.zeros(()), x, w),
        lambda x, w: torch.matmul(w, x.T).T,
    ],
    ids=["linear", "matmul", "addmm", "left matmul"],
)
def test_the_outputs_of_functions_by_what_each_computes(function: Any, request: Any) -> None:
    """An output that is a thousand times greater than the others takes no bit from them."""
    name = request.node.callspec.id
    place = output_axis(name.removeprefix("left "), left=name.startswith("left"))
    fmt = ScaledInteger(8, per="channel").for_channels(place.axis, place.groups)
    x, w = torch.randn(7, 5), torch.randn(5, 5)
    exact = function(x, w)
    axis = place.axis % 2
    spread = w * torch.logspace(0, 3, 5).reshape([5 if i == axis else 1 for i in range(2)])
    errors = (function(x, fmt.quantize(spread)) - function(x, spread)).abs().amax(0)
    assert (errors < 0.05 * (exact.abs().amax(0) * torch.logspace(0, 3, 5))).all()


def test_transposed_functions_take_their_groups() -> None:
    assert output_axis("conv_transpose2d", 3) == OutputAxis(1, 3)
    assert output_axis("conv2d", 3) == output_axis("linear") == OutputAxis(0, 1)


@pytest.mark.parametrize(
    "written",
    ["int<4>/channel@0", "int<4>/channel@2", "int<4>/group4", "int<4>", "ternary<scaled>@0", "e4m3"],
)
def test_an_axis_that_was_given_stays(written: str) -> None:
    fmt = parse(written)
    layer = nn.ConvTranspose2d(4, 6, 3, groups=2)
    assert for_weight(fmt, of_module(layer)) is fmt
    graph = Graph(nn.Sequential(layer)).quantized({"_0": Scheme(weight=fmt)})
    assert graph.scheme("_0").weight == fmt


def test_parts_of_an_axis_that_are_not_equal_are_refused() -> None:
    fmt = ScaledInteger(4, per="channel", axis=1, channel_groups=3)
    with pytest.raises(UserError, match="has no 3 equal parts of axis 0"):
        fmt.quantize(normal(4)(4))
    with pytest.raises(UserError, match="channel_groups goes with per"):
        ScaledInteger(4, channel_groups=2)


CONTRACTIONS: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "einsum": (lambda x, w: torch.einsum("bti,io->bto", x, w), (6, 8), 1),
    "einsum of rows": (lambda x, w: torch.einsum("bti,oi->bto", x, w), (8, 6), 0),
    "einsum of heads": (lambda x, w: torch.einsum("btd,dhe->bhte", x, w), (6, 2, 4), 1),
    "einsum from the left": (lambda x, w: torch.einsum("io,bti", w, x), (6, 8), 1),
    "einsum of a list": (lambda x, w: torch.einsum("bti,io->bto", [x, w]), (6, 8), 1),
    "einsum of each step": (lambda x, w: torch.einsum("bti,tio->bto", x, w), (5, 6, 8), 2),
    "tensordot": (lambda x, w: torch.tensordot(x, w, 1), (6, 8), 1),
    "tensordot of rows": (lambda x, w: torch.tensordot(x, w, dims=([2], [1])), (8, 6), 0),
    "tensordot from the left": (lambda x, w: torch.tensordot(w, x, ([0], [2])), (6, 8), 1),
    "tensordot over two": (torch.tensordot, (5, 6, 7), 2),
}


class _Contraction(nn.Module):
    def __init__(self, function: Any, shape: tuple[int, ...], asks: bool) -> None:
        super().__init__()
        self.function, self.asks, self.w = function, asks, nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.asks and x.abs().max() > 1e9:
            x = -x
        found: Tensor = self.function(x, self.w)
        return found


@pytest.mark.parametrize("asks", [False, True], ids=["fx", "running"])
@pytest.mark.parametrize("name", CONTRACTIONS)
def test_contractions_have_their_outputs_where_they_sum_over_nothing(name: str, asks: bool) -> None:
    function, shape, axis = CONTRACTIONS[name]
    graph = Graph(_Contraction(function, shape, asks), torch.randn(4, 5, 6))
    (layer,) = (layer for layer in graph.layers if "weight" in layer.tensors)
    assert of_layer(layer) == OutputAxis(axis)
