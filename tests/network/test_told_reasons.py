"""What is said of networks and data that don't go together is the reason, and what helps."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from helpers.emulation import ALL, rows, space_of
from helpers.networks.decisions import Three
from widthwise.network.reading import try_on


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) + torch.randn(len(x), 3)


def test_a_network_that_draws_numbers_is_said_to_be_random() -> None:
    model, loader = Noisy(), rows().val_dataloader()
    state = torch.get_rng_state()
    (note,) = try_on(model, loader).reader.notes
    assert "gives other outputs each time that it runs" in note
    assert torch.equal(torch.get_rng_state(), state)


class Halves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 3).half()

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x if x.abs().max() < 1e9 else -x)


@pytest.mark.parametrize("make", [Halves, lambda: nn.Sequential(nn.Linear(6, 3).half())])
def test_samples_of_another_type_are_told_by_their_type(make) -> None:
    with pytest.raises(ww.UserError, match="takes float16, the input is float32; convert it") as caught:
        ww.Graph(make(), torch.rand(4, 6))
    assert "shape" not in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ww.UserError, match="check the shape of the input"):
        ww.Graph(make(), torch.rand(4, 5).half())


class Rarely(Three):
    def __init__(self) -> None:
        super().__init__()
        self.rare = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(self.rare(h) if x.max() > 1e6 else self.middle(h))


def test_a_layer_that_the_first_samples_do_not_come_to_is_told_as_that() -> None:
    model, data = Rarely(), rows()
    far = data.inputs[0][:4].clone()
    far[0] = 1e7
    graph = ww.Graph(model, far)
    with pytest.raises(ww.UserError, match="rare: the first samples of this data don't come to it") as caught:
        ww.Evaluator(graph, space_of(graph, {"linear": ALL}), data, metrics=["loss"])
    assert "leave it out" in str(caught.value)
