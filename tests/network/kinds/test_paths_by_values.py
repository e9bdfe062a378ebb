"""Networks whose values decide which layers they call: a row is right, or a failure that names the layer."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, Emulation, loss_of, made_twice, rows, space_of
from helpers.networks.decisions import Three
from widthwise.formats.integer import Integer
from widthwise.network.scheme import Scheme

LINEAR = {"linear": ALL}


class SkipsALayer(Three):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(self.middle(h) if h.abs().mean() < 0.9 else h)


class TakesAnother(Three):
    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(self.middle(h) if h.abs().mean() < 0.9 else self.other(h))


class Experts(TakesAnother):
    """Each row goes to one of two."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        made, first = torch.zeros_like(h), h[:, 0] > h[:, 1]
        for chosen, expert in ((first, self.middle), (~first, self.other)):
            if chosen.any():
                made[chosen] = expert(h[chosen])
        return self.b(made)


class WithWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
        self.one, self.two = (nn.Parameter(torch.randn(8, 8) / 2) for _ in range(2))


class OneOfTwoWeights(WithWeights):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(F.linear(h, self.one if h.abs().mean() < 0.9 else self.two))


class OneOfTwoWeightsTurned(WithWeights):
    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(F.linear(h, (self.one if h.abs().mean() < 0.9 else self.two).T))


class AsManyRounds(WithWeights):
    """How many depends on the values; what comes after them is another call of the same function."""

    def forward(self, x: Tensor) -> Tensor:
        h, rounds = self.a(x), 0
        while h.abs().mean() > 0.5 and rounds < 6:
            h, rounds = F.linear(h, self.one) / 3, rounds + 1
        return self.b(F.linear(h, self.two))


NETWORKS = (SkipsALayer, TakesAnother, Experts, OneOfTwoWeights, OneOfTwoWeightsTurned, AsManyRounds)


@pytest.mark.parametrize("make", NETWORKS)
def test_each_row_is_right_in_the_users_batches_or_a_failure_that_says_why(make: type[nn.Module]):
    (model, other), data = made_twice(make), rows()
    graph = ww.Graph(model, data.inputs[0][:16])
    space = space_of(graph, LINEAR)
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
    assert "judged in the data's own batches" in evaluator.describe
    found = evaluator(space.at(range(space.size)))
    right = []
    for number, candidate in enumerate(space.at(range(space.size))):
        widths = {name: (2, 8)[index] for name, index in zip(_weights(graph), candidate, strict=True)}
        network = evaluator.network(candidate).model
        if reason := found.failures.get(number):
            assert "captured" in reason or "at capture" in reason
            with pytest.raises(ww.UserError, match="capture"):
                loss_of(network, data)
            continue
        expected = loss_of(other, data, _ByName(other, widths))
        assert [found["loss"][number], loss_of(network, data)] == pytest.approx([expected] * 2, rel=1e-4)
        right.append(number)
    assert right or make in (TakesAnother, OneOfTwoWeights, OneOfTwoWeightsTurned, AsManyRounds)


@pytest.mark.parametrize("make", NETWORKS)
def test_the_float_row_is_the_modules_own_in_the_users_batches(make: type[nn.Module]):
    (model, other), data = made_twice(make), rows()
    assert ww.evaluate(model, data, metrics=["loss"])["loss"] == pytest.approx(loss_of(other, data))


def test_a_space_that_lacks_layers_of_the_data_is_refused():
    (model, _), data = made_twice(Experts), rows()
    graph = ww.Graph(model, data.inputs[0][:1])
    with pytest.raises(
        ww.UserError, match=r"(other|middle): is a layer of the network as it runs on this data"
    ):
        ww.Evaluator(graph, space_of(graph, LINEAR), data, metrics=["loss"])


def test_a_scheme_for_what_a_recorded_network_has_not_is_refused():
    (model, _), data = made_twice(TakesAnother), rows()
    graph = ww.Graph(model, data.inputs[0][:16])
    with pytest.raises(ww.UserError, match="nowhere: no such node"):
        graph.quantized({"nowhere": Scheme(weight=Integer(4))})


def _weights(graph: ww.Graph) -> list[str]:
    found = (layer.stored["weight"][0].name for layer in graph.layers if "weight" in layer.tensors)
    return list(dict.fromkeys(found))


class _ByName(Emulation):
    """Rounds each weight to the bits of its name, whenever it is used first."""

    def __init__(self, model: nn.Module, bits: dict[str, int]) -> None:
        super().__init__(model, LINEAR, [])
        parameters = dict(model.named_parameters())
        self.sizes = {parameters[name].untyped_storage().data_ptr(): 0 for name in bits}
        self.bits = list(bits.values())
