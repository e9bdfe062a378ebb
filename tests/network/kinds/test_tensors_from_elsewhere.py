"""Tensors that torch doesn't register: stored ones count as float weights, those made in a run are data."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, rows
from widthwise.formats.integer import Integer
from widthwise.network.passes.metadata import propagate
from widthwise.network.passes.unquantised import unquantised
from widthwise.network.scheme import Scheme

COSTS = ["average_bitwidth", "model_size", "parameters", "macs", "bops"]
X = torch.linspace(-1, 1, 24).reshape(4, 6)


class Recorded(nn.Module):
    """Asks for a value, so that torch.fx can't trace it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def middle(self, h: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(self.middle(h if h.abs().max() < 1e9 else -h))


class Registered(Recorded):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))

    def middle(self, h: Tensor) -> Tensor:
        return self.hidden(h)


class InAList(Recorded):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = [nn.Linear(8, 8), nn.BatchNorm1d(8).eval()]

    def middle(self, h: Tensor) -> Tensor:
        return self.hidden[1](self.hidden[0](h))


class InADict(InAList):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = dict(enumerate(self.hidden))


class InAClosure(InAList):
    def __init__(self) -> None:
        super().__init__()
        linear, norm = self.hidden
        self.run = lambda h: norm(linear(h))

    def middle(self, h: Tensor) -> Tensor:
        return self.run(h)


class CalledTwice(InAList):
    def middle(self, h: Tensor) -> Tensor:
        return super().middle(super().middle(h))


class Raw(Recorded):
    """A weight that is a plain tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = [torch.randn(8, 8, requires_grad=True)]

    def middle(self, h: Tensor) -> Tensor:
        return F.linear(h, self.weight[0])


class RawTurned(Raw):
    def middle(self, h: Tensor) -> Tensor:
        return h @ self.weight[0].T


class RawFactor(Raw):
    def middle(self, h: Tensor) -> Tensor:
        return h * self.weight[0][0] + self.weight[0].sum()


def costs(model: nn.Module) -> dict[str, float]:
    return ww.evaluate(model, rows(), metrics=COSTS)


@pytest.mark.parametrize("make", [InAList, InADict, InAClosure])
def test_layers_that_torch_does_not_register_count_as_registered_ones_in_float(make: type[nn.Module]) -> None:
    found, registered = costs(make()), costs(Registered())
    assert found == pytest.approx(registered)


def test_what_is_read_twice_is_stored_once() -> None:
    once, twice = costs(InAList()), costs(CalledTwice())
    assert twice["model_size"] == once["model_size"]
    assert twice["macs"] > once["macs"]


@pytest.mark.parametrize("make", [Raw, RawTurned, RawFactor])
def test_plain_tensors_count_as_float_weights(make: type[nn.Module]) -> None:
    assert costs(make())["parameters"] == 6 * 8 + 8 + 8 * 8 + 8 * 3 + 3


class Traced(nn.Module):
    """A plain tensor in a network that torch.fx traces."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.gain = nn.Linear(6, 3), torch.ones(6, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x * self.gain)


def test_a_plain_tensor_that_is_trained_is_a_weight_where_torch_fx_traces_too() -> None:
    graph = ww.Graph(Traced(), X)
    assert graph.capture == "fx"
    assert [layer.tensors for layer in graph.layers if layer.type == "mul"] == [("data_in", "weight")]
    assert costs(Traced())["parameters"] == 6 + 6 * 3 + 3


@pytest.mark.parametrize("make", [InAList, InAClosure, Raw, RawTurned])
def test_it_is_told_that_they_stay_float(make: type[nn.Module]) -> None:
    graph = ww.Graph(make(), X)
    parts = [part for part in unquantised(graph, propagate(graph, X)) if part.parameters]
    assert sum(part.parameters for part in parts) == 64 + 24 * issubclass(make, InAList)


@pytest.mark.parametrize("make", [InAList, Raw, RawTurned])
def test_they_stay_float_in_the_average(make: type[nn.Module]) -> None:
    seed = {
        name: {"config": {"name": ["integer"], "weight_width": [4], "weight_frac_width": ["NA"]}}
        for name in ("first", "last")
    }
    graph = ww.Graph(make(), X)
    space = ww.QuantisationSpace(graph, by="name", seed=seed)
    average = ww.Evaluator(graph, space, rows(), metrics=COSTS)(space.at([0]))["average_bitwidth"][0]
    assert average == pytest.approx((4 * (48 + 24) + 32 * 64) / (48 + 24 + 64))


class ThroughNumpy(Recorded):
    """What the last layer reads was made by no function of torch."""

    def middle(self, h: Tensor) -> Tensor:
        return torch.from_numpy(h.numpy() * 2)


class AsTensor(Recorded):
    def middle(self, h: Tensor) -> Tensor:
        return torch.as_tensor(h.numpy() * 2)


class ThroughNumpyAsAWeight(Recorded):
    """In the place of a weight, but it follows from the data."""

    def middle(self, h: Tensor) -> Tensor:
        return h @ torch.as_tensor(h.numpy()).T.softmax(0) @ h


@pytest.mark.parametrize("make", [ThroughNumpy, AsTensor])
def test_what_numpy_made_of_data_is_data(make: type[nn.Module]) -> None:
    model = make().eval()
    graph = ww.Graph(model, X)
    layers = {layer.name: layer.tensors for layer in graph.layers}
    assert layers["last"] == ("data_in", "weight", "bias")
    fmt = Integer(3, 1)
    with torch.no_grad():
        found = graph.quantized({"last": Scheme(data_in=fmt)}).model(X)
        expected = model.last(fmt.quantize(2 * model.first(X)))
    torch.testing.assert_close(found, expected)
    sizes = ww.evaluate(model, rows(), metrics=["parameters"])
    assert sizes["parameters"] == 6 * 8 + 8 + 8 * 3 + 3


def test_what_numpy_made_is_no_weight() -> None:
    graph = ww.Graph(ThroughNumpyAsAWeight().eval(), X)
    assert {layer.tensors for layer in graph.layers if layer.type == "matmul"} == {("data_in",)}


def _product(x: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.linear(x, weight)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scripted = torch.jit.script(_product)


class ByScript(Recorded):
    """No call within a function of torch.jit is seen, so that nothing shows what reads the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(8, 8))

    def middle(self, h: Tensor) -> Tensor:
        made: Tensor = scripted(h, self.hidden)
        return made


def test_what_may_be_read_unseen_counts_and_is_told() -> None:
    with pytest.warns(
        UserWarning, match="leave out .* what is computed by other means than torch's functions"
    ):
        found = costs(ByScript())
    assert found["parameters"] == 6 * 8 + 8 + 8 * 8 + 8 * 3 + 3
    assert found["model_size"] == 4 * found["parameters"]
    graph = ww.Graph(ByScript(), X)
    assert sum(part.parameters for part in unquantised(graph, propagate(graph, X))) == 64


class Fourier(nn.Module):
    """Weights that are complex numbers, as Fourier neural operators have them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.randn(8, 4, dtype=torch.cfloat)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.fft.irfft(torch.einsum("bi,oi->bo", torch.fft.rfft(x), self.weight), n=8))


def test_complex_weights_stay_float_and_are_two_numbers_each() -> None:
    found = ww.evaluate(Fourier(), rows(), metrics=["model_size"])
    assert found == {"model_size": 4 * (2 * 8 * 4 + 8 * 3 + 3)}
    assert [layer.tensors for layer in ww.Graph(Fourier(), X).layers if layer.type == "einsum"] == [
        ("data_in",)
    ]
    assert_rows_equal(Fourier, rows(), {"linear": ALL}, weights=1, average=False)
