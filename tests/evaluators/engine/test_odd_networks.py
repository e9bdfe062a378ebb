"""Networks and data that tempt to share what must not be: views, numbers read out, shuffled loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassCohenKappa

from helpers.judged import FIXED, SAMPLES, Batches, every_layer, made, with_shares
from helpers.networks import ZOO, Layers, tagged
from helpers.one_by_one import scores_of
from widthwise.core.errors import UserError
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.metrics.quality.classification import ClassTally
from widthwise.metrics.quality.torchmetrics import TorchmetricsAccumulator
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace


def odd(make: Callable[[], nn.Module]) -> tuple[Graph, Batches]:
    torch.manual_seed(1)
    data = Batches((torch.randn(SAMPLES, 6),), torch.randint(0, 3, (SAMPLES,)), size=SAMPLES)
    return Graph(make().eval()), data


@pytest.mark.parametrize("name", tagged("odd"))
@pytest.mark.parametrize("layers", ["all", "with weights"])
def test_odd_networks_equal_one_network_per_candidate(name: str, layers: str):
    graph, data = odd(ZOO[name].make)
    space = every_layer(graph, FIXED)
    if layers == "with weights":
        names = {layer.name for layer in graph.layers if "weight" in layer.tensors}
        space = QuantisationSpace(graph, by="name", seed={name: {"config": FIXED} for name in names})
    given = data.inputs[0].clone()
    output = 0 if name == "LastLayerGivesATuple" else None
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"], output=output)
    assert torch.equal(data.inputs[0], given)
    for batch in (4, 30):
        candidates = space.sample(batch, np.random.default_rng(batch))
        found = evaluator(candidates)
        assert torch.equal(data.inputs[0], given)
        accuracies = []
        for candidate in candidates:
            scores = scores_of(evaluator, candidate, (given.clone(),))
            accuracies.append(float((scores.argmax(1) == data.labels).double().mean()))
        np.testing.assert_allclose(found["accuracy"], accuracies, atol=1e-12)


def test_in_place_for_some_candidates_only_is_no_harm():
    graph, data = odd(ZOO["SameTensorTwice"].make)
    choices = {"name": ["integer", "none"], "data_in_width": [3, 5]}
    space = QuantisationSpace(graph, by="name", seed={"act": {"config": choices}, "last": {"config": FIXED}})
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "loss"])
    assert "act changes first in place for some candidates only" in evaluator.describe
    assert_exact_scores(evaluator, space.at(range(space.size)), data)


def assert_exact_scores(evaluator: Evaluator, candidates: np.ndarray, data: Batches) -> None:
    found = evaluator(candidates)["loss"]
    for value, candidate in zip(found, candidates, strict=True):
        scores = scores_of(evaluator, candidate, data.inputs)
        loss = float(nn.functional.cross_entropy(scores.double(), data.labels))
        assert value == pytest.approx(loss, rel=1e-5)


def test_views_are_told_as_the_reason_for_single_passes():
    graph, data = odd(ZOO["View"].make)
    describe = Evaluator(graph, None, data, metrics=["accuracy"]).describe
    assert describe.endswith("cached weights: relu_ changes in place what first is a view of")


# ---- data


class Shuffled(Batches):
    """In another order each time."""

    def train_dataloader(self):
        order = torch.randperm(len(self.labels))
        for start in range(0, len(order), self.size):
            rows = order[start : start + self.size]
            yield self.inputs[0][rows], self.labels[rows]

    val_dataloader = test_dataloader = train_dataloader


def test_shuffled_data_that_is_too_large_to_keep_is_judged_rightly():
    torch.manual_seed(0)
    x = torch.randn(4000, 1000)
    model = nn.Sequential(nn.Linear(1000, 3)).eval()
    labels = model(x).argmax(1)
    graph = Graph(model)
    weights = {"weight_name": "integer", "weight_width": [4, 8]}
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": weights}})
    data = Shuffled((x,), labels, size=500)
    evaluator = Evaluator(graph, space, data, metrics=["accuracy"], memory=2**26)
    found = [evaluator(space.at([1]))["accuracy"][0] for _ in range(3)]
    assert not evaluator.judged.is_kept  # 16 MB, of which 8 MiB may be kept
    assert len(set(found)) == 1


class Named(Batches):
    """Batches with names, not in the network's order."""

    def train_dataloader(self):
        for (x, z), y in Batches.train_dataloader(self):
            yield {"target": y, "z": z, "x": x}

    val_dataloader = train_dataloader


def test_named_inputs_go_where_the_network_takes_them():
    graph, data = made("two inputs")
    named = Named(data.inputs, data.labels)
    assert evaluate(graph, named, metrics=["loss"]) == evaluate(graph, data, metrics=["loss"])


def test_a_named_input_that_is_missing_is_told():
    class Lacking(Batches):
        def train_dataloader(self):
            for (_, z), y in Batches.train_dataloader(self):
                yield {"z": z, "labels": y}

        val_dataloader = train_dataloader

    graph, data = made("two inputs")
    with pytest.raises(UserError, match="hold z, but not x, which the network takes"):
        evaluate(graph, Lacking(data.inputs, data.labels), metrics=["loss"])


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_may_be_any_whole_numbers(dtype: torch.dtype):
    graph, data = made("residual")
    same = Batches(data.inputs, data.labels.to(dtype))
    assert evaluate(graph, same, metrics=["loss"]) == evaluate(graph, data, metrics=["loss"])


@pytest.mark.parametrize("labels", [torch.zeros(SAMPLES), torch.zeros(SAMPLES, 1, dtype=torch.int64)])
def test_labels_that_are_no_classes_are_refused(labels: Tensor):
    graph, data = made("residual")
    with pytest.raises(UserError, match="or whole numbers"):
        evaluate(graph, Batches(data.inputs, labels), metrics=["loss"])


# ---- what networks return


class ReturnsNothing(Layers):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.last(self.first(x))
        return {}


def test_networks_that_return_no_scores_are_refused():
    graph, data = odd(ReturnsNothing)
    with pytest.raises(UserError, match="the network returns a dict without a tensor"):
        evaluate(graph, data, metrics=["accuracy"])
    tokens = Batches((torch.randn(SAMPLES, 5, 6),), data.labels)
    with pytest.raises(UserError, match=r"no task is found for targets int64 \[n\] and outputs \[n, 5, 3\]"):
        evaluate(Graph(nn.Sequential(nn.Linear(6, 3))), tokens, metrics=["accuracy"])


class Refuses(MulticlassCohenKappa):
    """A metric that raises over scores like these."""

    def __init__(self, odd: Tensor) -> None:
        super().__init__(num_classes=odd.shape[1])
        self.odd = odd

    def update(self, scores: Tensor, labels: Tensor) -> None:
        if len(scores) == len(self.odd) and torch.allclose(scores, self.odd):
            raise RuntimeError("odd scores")
        super().update(scores, labels)


def test_a_metric_that_raises_for_one_candidate_fails_it_alone():
    graph, data = made("residual")
    space = QuantisationSpace(graph, by="type", seed={"linear": {"config": FIXED}})
    evaluator = Evaluator(graph, space, data, metrics=["accuracy", "MulticlassCohenKappa"])
    with_shares(evaluator, block_samples=16)
    candidates = space.at(range(20))
    expected = evaluator(candidates)
    odd = scores_of(evaluator, candidates[6], data.inputs)[:16]
    kappa = TorchmetricsAccumulator("MulticlassCohenKappa", lambda: Refuses(odd), lambda scores: scores)
    tally = ClassTally(0, classes=3, loss=False, others={kappa.name: kappa}, class_names=data.class_names)
    evaluator.prepared = replace(evaluator.prepared, tally=tally)
    found = evaluator(candidates)
    assert found.failures == {6: "metric MulticlassCohenKappa raised RuntimeError: odd scores"}
    for name, values in expected.items():
        others = np.delete(np.arange(20), 6)
        np.testing.assert_array_equal(found[name][others], values[others])
