"""Adaptive rounding: the least error there is, against brute force; what is judged is what is kept."""

from __future__ import annotations

import copy
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import widthwise as ww
from widthwise.core.errors import UserError
from widthwise.formats import Format, from_config, parse
from widthwise.formats.directions import directed, written_directions
from widthwise.formats.integer import Integer
from widthwise.formats.scaled import ScaledInteger
from widthwise.network.passes import calibrate_transform_pass
from widthwise.network.passes.adaptive_rounding import Moments, least_error
from widthwise.network.passes.settling import settled
from widthwise.network.scheme import Scheme


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**16), st.integers(1, 6), st.integers(1, 3))
def test_no_single_other_choice_is_better_and_few_of_all(seed: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(seed)
    read = rng.normal(size=(50, inputs)) @ rng.normal(size=(inputs, inputs)) + rng.normal()
    moments = torch.from_numpy(read.T @ read / 50)[None]
    share = torch.from_numpy(rng.uniform(size=(1, outputs, inputs)))
    up = least_error(-share, 1 - share, share > 0.5, moments)

    def error(row: int, chosen: Tensor) -> float:
        apart = torch.where(chosen, 1 - share[0, row], -share[0, row])
        return float(apart @ moments[0] @ apart)

    for row in range(outputs):
        found = error(row, up[0, row])
        assert found <= error(row, share[0, row] > 0.5) + 1e-12
        for at in range(inputs):
            other = up[0, row].clone()
            other[at] ^= True
            assert found <= error(row, other) + 1e-9
        every = [error(row, torch.tensor(choice)) for choice in product([False, True], repeat=inputs)]
        assert sum(one < found - 1e-12 for one in every) < max(1, len(every) // 4) + 1


LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(7, 4), (7,)),
    (nn.Linear(7, 4, bias=False), (3, 7)),
    (nn.Conv1d(3, 4, 3, padding=1, stride=2), (3, 9)),
    (nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (4, 6, 6)),
    (nn.Conv2d(4, 4, 3, padding="same", groups=4, dilation=2), (4, 7, 7)),
    (nn.Conv2d(2, 3, (1, 3), padding=(0, 1), padding_mode="reflect"), (2, 5, 5)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=str)
@pytest.mark.parametrize(
    "text", ["fixed<3,auto,adaptive>", "int<3,adaptive>", "affine<4,adaptive>", "int<4,adaptive>/channel"]
)
def test_outputs_are_nearer_than_by_the_nearest_and_errors_are_as_moments_say(
    layer: nn.Module, shape: tuple[int, ...], text: str
) -> None:
    torch.manual_seed(0)
    layer.reset_parameters()  # type: ignore[operator]
    x = (torch.randn(256, *shape) @ torch.randn(shape[-1], shape[-1])).abs() + 0.5
    moments = Moments(layer)  # type: ignore[arg-type]
    for block in x.split([100, 156]):
        moments.add(block)
    weight: Tensor = layer.weight.detach()  # type: ignore[union-attr, assignment]
    plain = parse(text.replace(",adaptive", "")).calibrated(weight)
    found = moments.directed(parse(text).calibrated(weight))
    assert isinstance(found, Integer | ScaledInteger)

    def outputs(values: Tensor) -> Tensor:
        state = {name: value.double() for name, value in layer.named_parameters()}
        with torch.no_grad():
            found: Tensor = torch.func.functional_call(
                copy.deepcopy(layer).double(), {**state, "weight": values.double()}, x.double()
            )
        return found

    def error(values: Tensor) -> float:
        return float((outputs(values) - outputs(weight)).square().mean())

    nearest, ours = plain.quantize(weight), found.quantize(weight)
    assert error(ours) < error(nearest)
    wrong = (ours - weight).double().reshape(moments.sums.shape[0], -1, moments.sums.shape[-1])
    said = (wrong @ (moments.sums / moments.count) * wrong).sum(-1).mean()
    assert error(ours) == pytest.approx(float(said), rel=1e-4)
    assert ((ours - weight).abs() <= (plain.quantize(weight) - weight).abs() + 1.01 * step(plain)).all()
    assert torch.equal(plain.quantize(ours), ours)  # on the format's own values
    assert torch.equal(found.quantize(ours), ours)


def step(fmt: Format) -> float:
    return max(fmt.scale) if isinstance(fmt, ScaledInteger) else 2.0**-fmt.fraction  # type: ignore


def test_a_found_rounding_is_written_and_read_back_and_fits_its_tensor() -> None:
    up = torch.tensor([[True, False, True], [False, False, True]])
    fmt = Integer(4, 1, rounding=written_directions(up))
    x = torch.tensor([[0.3, 0.3, -0.3], [1.0, -9.0, 9.0]])
    assert fmt.quantize(x).tolist() == [[0.5, 0.0, 0.0], [1.0, -4.0, 3.5]]
    assert from_config(fmt.to_config()) == fmt
    assert repr(fmt) == "fixed<4,1,adaptive>"
    assert parse("fixed<4,1,adaptive>").rounding == "adaptive"  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="found for about 8 numbers"):
        fmt.quantize(torch.zeros(3, 7))
    with pytest.raises(UserError, match=r"rounding = 'stochastic'.*nearest, adaptive"):
        Integer(4, rounding="stochastic")
    assert directed(torch.tensor([1.5, 2.0]), written_directions(torch.tensor([False, True]))).tolist() == [
        1,
        2,
    ]


def scheme(text: str) -> Scheme:
    return Scheme(data_in=parse("fixed<6,auto>"), weight=parse(text), bias=parse("fixed<8,auto>"))


def test_the_pass_finds_it_from_what_the_float_network_computes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(200, 6) @ torch.randn(6, 6)
    graph = ww.Graph(network).quantized(dict.fromkeys(("_0", "_2"), scheme("int<3,adaptive>")))
    fixed, schemes = calibrate_transform_pass(graph, {"data": x})
    moments = Moments(network[2])  # type: ignore[arg-type]
    for block in x.split(64):
        moments.add(network[:2](block).detach())
    wanted = moments.directed(parse("int<3,adaptive>").calibrated(network[2].weight.detach()))
    assert schemes["_2"].weight.rounding == wanted.rounding  # type: ignore[union-attr]
    plain, kept = settled(ww.Graph(network), schemes)
    assert all(each.weight.rounding == "nearest" for each in kept.values())  # type: ignore[union-attr]
    assert torch.equal(plain.quantized(kept).model(x), fixed.model(x))
    before = network[0].weight.clone()
    assert torch.equal(network[0].weight, before)


class Tied(nn.Module):
    """One weight, two readers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.b(torch.relu(self.a(x)))
        return y


@pytest.mark.parametrize(
    ("network", "layer", "said"),
    [
        (Tied(), "a", "its weight is read by 2 layers"),
        (
            nn.Sequential(nn.ConvTranspose1d(4, 4, 1)),
            "_0",
            "conv_transpose1d is none of torch's linear layers",
        ),
    ],
)
def test_what_can_not_be_found_is_refused_in_a_line(network: nn.Module, layer: str, said: str) -> None:
    x = torch.zeros(8, 4, *([] if isinstance(network, Tied) else [5]))
    graph = ww.Graph(network, x).quantized({layer: Scheme(weight=parse("int<3,adaptive>"))})
    with pytest.raises(UserError, match=f'{layer}: rounding = "adaptive" can\'t be found: .*{said}'):
        calibrate_transform_pass(graph, {"data": x})


def test_only_weights_have_it() -> None:
    with pytest.raises(UserError, match="rounding is found for weights alone; leave data_in_rounding out"):
        Scheme.from_config({"name": "integer", "data_in_width": 4, "data_in_rounding": "adaptive"})
