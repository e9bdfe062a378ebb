"""Margins of single samples: their sign is whether the answer is right, whatever way they are computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from helpers.judged import CHOOSY_RULES, choosy_graph, made, with_shares
from helpers.networks import tagged
from widthwise.evaluators.engine import Evaluator
from widthwise.metrics.quality.follows import SAMPLES
from widthwise.metrics.quality.margins import margins
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace

CONFIG = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 4, 8], "bias_width": [8]}


class Samples:
    """So many samples of a few classes in batches, in another order each time where shuffled."""

    def __init__(self, count: int, *, classes: int = 4, batch: int = 64, shuffle: bool = False) -> None:
        torch.manual_seed(count)
        self.x, self.y = torch.randn(count, 8), torch.randint(classes, (count,))
        self.batch, self.shuffle = batch, shuffle

    def train_dataloader(self) -> DataLoader:
        return DataLoader(TensorDataset(self.x, self.y), batch_size=self.batch, shuffle=self.shuffle)

    val_dataloader = test_dataloader = train_dataloader


def network(classes: int = 4) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, classes)).eval()


def searched(model: nn.Module, data: Samples) -> tuple[QuantisationSpace, Evaluator]:
    graph = Graph(model)
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": CONFIG}})
    return space, Evaluator(graph, space, data, metrics=["accuracy"])


def scores_of(evaluator: Evaluator, candidate: np.ndarray, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return evaluator.network(candidate).model(x)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 10**6))
def test_a_margin_is_positive_where_the_true_class_is_predicted(classes, samples, versions, seed):
    made = torch.Generator().manual_seed(seed)
    scores = 20 * torch.randn(versions, samples, classes, generator=made)
    labels = torch.randint(classes, (samples,), generator=made)
    found = margins(scores, labels)
    assert torch.equal(found > 0, scores.argmax(-1) == labels)
    assert (found.abs() <= 1).all()


@pytest.mark.parametrize("count", [3, 40])
def test_they_are_those_of_one_network_per_candidate(count):
    data = Samples(200)
    space, evaluator = searched(network(), data)
    candidates = space.sample(count, np.random.default_rng(0))
    found = evaluator.margins(candidates)
    assert found.shape == (count, 200)
    assert np.array_equal(evaluator.margin_labels, data.y.numpy())
    for row, candidate in zip(found, candidates, strict=True):
        p = scores_of(evaluator, candidate, data.x).softmax(-1).numpy()
        own = p[np.arange(200), data.y]
        p[np.arange(200), data.y] = 0
        assert row == pytest.approx(own**0.25 - p.max(1) ** 0.25, abs=1e-4)
    right = (found > 0).mean(axis=1)
    assert evaluator(candidates)["accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("block_samples", [4096, 300, 16])
def test_of_much_data_samples_from_all_over_are_taken(block_samples):
    data = Samples(5000, batch=37)
    space, evaluator = searched(network(), data)
    with_shares(evaluator, block_samples=block_samples)
    candidates = space.sample(12, np.random.default_rng(0))
    taken = np.linspace(0, 4999, SAMPLES).astype(int)
    assert np.array_equal(evaluator.margin_labels, data.y.numpy()[taken])
    right = [(scores_of(evaluator, row, data.x).argmax(-1) == data.y).numpy()[taken] for row in candidates]
    assert np.array_equal(evaluator.margins(candidates) > 0, right)


def test_shuffled_data_that_is_not_kept_gives_the_same_samples_each_time():
    space, evaluator = searched(network(), Samples(300, shuffle=True))
    evaluator.judged._room = 0
    candidates = space.sample(4, np.random.default_rng(0))
    first = evaluator.margins(candidates)
    evaluator(candidates)
    assert not evaluator.judged.is_kept
    assert np.array_equal(evaluator.margins(candidates), first)


@pytest.mark.parametrize("name", tagged("classes"))
def test_networks_of_every_structure_are_right_where_margins_are_positive(name):
    graph, data = made(name)
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": CONFIG}})
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    candidates = space.sample(12, np.random.default_rng(0))
    right = (evaluator.margins(candidates) > 0).mean(axis=1)
    assert right == pytest.approx(evaluator(candidates)["accuracy"])


@pytest.mark.parametrize("rows", [range(10), [0, 5, 1]])
def test_candidates_that_fail_have_no_margins(rows):
    graph, data = choosy_graph(), made("residual")[1]
    space = QuantisationSpace(graph, by="name", seed=CHOOSY_RULES)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"])
    found = evaluator.margins(space.at(rows))
    failed = [row in (0, 1) for row in rows]
    assert np.isnan(found).all(axis=1).tolist() == failed
    assert np.isfinite(found).all(axis=1).tolist() == [not one for one in failed]


def test_scores_that_are_no_numbers_have_no_margins():
    scores = torch.tensor([[[0.0, torch.nan], [1.0, 2.0]]])
    assert margins(scores, torch.tensor([0, 1])).isnan().tolist() == [[True, False]]


def test_infinite_scores_have_margins_as_great_ones_do():
    inf = torch.inf
    scores = torch.tensor([[[inf, 0.0, 1.0], [inf, inf, 0.0], [-inf, -inf, -inf], [-inf, 2.0, 2.0]]])
    found = margins(scores, torch.tensor([0, 1, 0, 0]))
    right = scores.argmax(-1) == torch.tensor([0, 1, 0, 0])
    assert found.isfinite().all()
    assert torch.equal(found > 0, right)
    assert found[0, 0] == 1
