"""Outputs that are numbers far from their targets begin training at the mean and the spread of these."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from widthwise.metrics.quality.tasks import task_of
from widthwise.spaces.width import WidthSpace
from widthwise.training import Settings
from widthwise.training.beginning import begin_near_targets


class Prices:
    """Numbers around 500, and around -40."""

    def __init__(self, outputs: int = 2) -> None:
        torch.manual_seed(0)
        self.x = torch.randn(64, 8)
        self.y = (self.x[:, :2] + torch.tensor([500.0, -40.0]))[:, :outputs]

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.x.split(16), self.y.split(16), strict=True))

    val_dataloader = test_dataloader = train_dataloader


def network(*last: nn.Module, bias: bool = True) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 2, bias=bias), *last)


def test_outputs_begin_at_the_mean_of_each_target():
    model, data = network(), Prices()
    assert begin_near_targets(model, data, task_of("regression"))
    with torch.no_grad():
        assert torch.allclose(model(data.x).mean(0), data.y.mean(0), atol=1e-2)


@pytest.mark.parametrize("model", [network(nn.Tanh()), network(bias=False)], ids=["behind tanh", "no bias"])
def test_a_network_that_no_bias_moves_so_stays_as_it_is(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not begin_near_targets(model, Prices(), task_of("regression"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_tasks_begin_as_they_are():
    assert not begin_near_targets(ww.load_model("jsc-tiny"), ww.load_data("jsc"), task_of("classification"))


@pytest.mark.parametrize("mode", ["scratch", "supernet"])
def test_widths_of_networks_for_such_numbers_are_found_in_a_few_epochs(mode):
    graph, data = ww.Graph(network()), Prices()
    space = WidthSpace(graph, by="all", multipliers=[0.5, 1])
    settings = Settings(epochs=2, learning_rate=1e-3)
    made = ww.WidthEvaluator(graph, space, data, metrics=["rmse"], settings=settings, mode=mode)
    assert (made(next(space.enumerate()))["rmse"] < 3).all()  # from 0 it is 270


def test_targets_of_any_size_are_learnt_as_those_of_usual_size(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 3, generator=generator)
    y = x @ torch.tensor([[3.0], [-1.0], [2.0]])
    found = []
    for scale in (1.0, 1e5):
        file = tmp_path / f"{scale:g}.npz"
        np.savez(file, x=x.numpy(), y=(50 * scale + scale * y).numpy())
        data = ww.load_data(file, label="y", targets="numbers")
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
        ww.fit(model, data, epochs=30)
        found.append(ww.evaluate(model, data, metrics=["r2"])["r2"])
    assert min(found) > 0.8  # of the large ones it was below -5


def test_trained_weights_go_on_from_where_they_are():
    model, data = network(), Prices()
    assert begin_near_targets(model, data, task_of("regression"))
    assert not begin_near_targets(model, data, task_of("regression"))
