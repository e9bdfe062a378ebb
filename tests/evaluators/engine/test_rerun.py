"""Networks that tempt the memory of a recorded one: equal calls of which one is changed, and settings."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, assert_rows_equal, left_as_it_was, loss_of, made_twice, rows, space_of
from helpers.judged import Batches
from helpers.networks.decisions import Two

LINEAR = {"linear": ALL}


class Recorded(Two):
    """What torch.fx can't trace: it asks for a value."""

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x), x)) if bool(x.isfinite().all()) else x

    def between(self, h: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError


class OfTwoEqualTensorsOneIsChanged(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        one, other = torch.zeros(8), torch.zeros(8)
        one[0] = 2.0
        return h + one - other


class OfTwoEqualResultsOneIsChanged(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        one, other = torch.relu(h), torch.relu(h)
        one.add_(1)
        return one * other


class SecondResultIsChanged(Recorded):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(6, 8)

    def between(self, h: Tensor, x: Tensor) -> Tensor:
        state, cell = self.cell(x, (h, h))
        cell.mul_(2)
        state, cell = self.cell(x, (state, cell))
        return state + cell


class WritesIntoSeveral(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        values, places = torch.empty(0), torch.empty(0, dtype=torch.long)
        torch.topk(h, 8, out=(values, places))
        return values + places / 8


class DataIsSet(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        before = torch.tanh(h)
        h.data = h.data * 2
        return before - torch.tanh(h)


class HalfPrecisionOnce(Recorded):
    """The same layer on the same input, in two precisions."""

    def between(self, h: Tensor, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = self.a(x)
        return (rough.float() - self.a(x)) * 1000


class DefaultTypeOnce(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        torch.set_default_dtype(torch.float64)
        try:
            fine = torch.linspace(0, 1, 8)
        finally:
            torch.set_default_dtype(torch.float32)
        return (h + fine).float() + torch.linspace(0, 1, 8)


class DropsAlways(Recorded):
    """Dropout as a function is on unless told otherwise; here several times, of the same numbers."""

    def between(self, h: Tensor, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return F.dropout(h, 0.5) - F.dropout(h, 0.5)


class AttendsAtRandom(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        torch.manual_seed(0)
        h = h.unsqueeze(1).expand(-1, 4, -1)
        return sum(F.scaled_dot_product_attention(h, h, h, dropout_p=0.5) for _ in range(3)).sum(1)


class ZerosOfBothSigns(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        above, below = (1 / torch.tensor(zero) for zero in (0.0, -0.0))
        return h + above.clamp(-1, 1) + below.clamp(-1, 1) / 2


class SlicedByTensors(Recorded):
    def between(self, h: Tensor, x: Tensor) -> Tensor:
        end = torch.tensor(2)
        few = h[:, :end].sum(1, keepdim=True)
        end.add_(3)
        return h + few - h[:, :end].sum(1, keepdim=True)


NETWORKS = {
    made.__name__: made
    for made in (
        *(OfTwoEqualTensorsOneIsChanged, OfTwoEqualResultsOneIsChanged, SecondResultIsChanged),
        *(WritesIntoSeveral, DataIsSet, HalfPrecisionOnce, DefaultTypeOnce, DropsAlways, AttendsAtRandom),
        *(ZerosOfBothSigns, SlicedByTensors),
    )
}


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_are_those_of_the_networks_own_runs(name: str):
    assert ww.Graph(NETWORKS[name]()).capture == "running"
    weights = None if name == "SecondResultIsChanged" else 2
    assert_rows_equal(NETWORKS[name], rows(), LINEAR, weights=weights, average=False)


class Shuffled(Batches):
    """In another order each time, and too large to be kept."""

    def val_dataloader(self):
        order = torch.randperm(len(self.labels))
        return [(self.inputs[0][part], self.labels[part]) for part in order.split(self.size)]


def test_data_in_another_order_each_time_is_read_anew():
    (model, _), whole = made_twice(OfTwoEqualResultsOneIsChanged), rows(400)
    data = Shuffled(whole.inputs, whole.labels, size=20)
    graph = ww.Graph(model)
    space = space_of(graph, LINEAR)
    expected = ww.Evaluator(graph, space, whole, metrics=["loss"])(space.at(range(4)))
    evaluator = ww.Evaluator(graph, space, data, metrics=["loss"], memory=40_000)
    assert not evaluator.judged.is_kept
    for _ in range(2):
        assert evaluator(space.at(range(4)))["loss"].tolist() == pytest.approx(expected["loss"].tolist())


class KeepsResults(Recorded):
    """What it computes once it keeps in a dict, and lists all that it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}
        self.seen: list[Tensor] = []

    def between(self, h: Tensor, x: Tensor) -> Tensor:
        if "ones" not in self.kept:
            self.kept["ones"] = self.a(torch.ones(1, 6))
        self.seen.append(h)
        return h * self.kept["ones"] + len(self.seen)


class KeepsResultsTraced(KeepsResults):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.between(self.a(x), x))


@pytest.mark.parametrize("make", [KeepsResults, KeepsResultsTraced])
def test_what_a_run_keeps_in_dicts_and_lists_is_not_there_for_the_next(make: type[KeepsResults]):
    (model, other), whole = made_twice(make), rows()
    data = Batches(whole.inputs, whole.labels, size=40)
    with left_as_it_was(model):
        assert ww.evaluate(model, data, metrics=["loss"])["loss"] == pytest.approx(loss_of(other, data))
        graph = ww.Graph(model)
        space = space_of(graph, LINEAR)
        evaluator = ww.Evaluator(graph, space, data, metrics=["loss"])
        found = evaluator(space.at(range(space.size)))["loss"].tolist()
        again = [evaluator(space.at([place]))["loss"].item() for place in reversed(range(space.size))]
    assert found == again[::-1]
    assert model.kept == {}
    assert model.seen == []
