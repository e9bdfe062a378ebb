"""All tasks by one suite: tallies give the textbook's figures; engine, training and searches follow them."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_similarity,
    cross_entropy,
    kl_div,
)
from torchmetrics.functional import classification
from torchmetrics.functional.classification import multiclass_recall

from helpers.dense import Counting, Stripes, segmenting, speaking
from helpers.installed import enter, environment
from helpers.places import TESTS
from helpers.regression import Echoes, Nearness, Waves, network
from widthwise.config import load_config
from widthwise.config.write import tables_of
from widthwise.core.errors import UserError
from widthwise.core.toml import dumps
from widthwise.data.facts import DataFacts
from widthwise.data.modules import load_data
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.evaluators.trained import WidthEvaluator
from widthwise.metrics.quality.binary import Binary
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.closeness import Closeness
from widthwise.metrics.quality.follows import figure, told_of
from widthwise.metrics.quality.regression import Regression
from widthwise.metrics.quality.segmentation import Segmentation
from widthwise.metrics.quality.task import Tally, Task, ranked
from widthwise.metrics.quality.tasks import TASKS, metric_of, task_of
from widthwise.metrics.quality.tokens import Tokens
from widthwise.network.graph import Graph
from widthwise.network.named import load_model
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.width import WidthSpace
from widthwise.testing import check_task
from widthwise.training import Settings, fit, score, train

CLASSES = 4
Reference = Callable[[Tensor, Tensor], float]


def scores(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    labels = torch.randint(CLASSES - 1, (samples,), generator=generator)  # the last class is absent
    return 3 * torch.randn(versions, samples, CLASSES, generator=generator), labels


def numbers(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return torch.randn(versions, samples, generator=generator), torch.randn(samples, generator=generator)


def of_classes(name: str, average: str = "macro", pick: int | None = None) -> Reference:
    def reference(outputs: Tensor, targets: Tensor) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of classes without samples
            found = getattr(classification, f"multiclass_{name}")(outputs, targets, CLASSES, average=average)
        return float(found if pick is None else found[pick])

    return reference


def of_classes_present(name: str) -> Reference:
    """A ranking of one class against all, mean over the classes that the targets have."""

    def reference(outputs: Tensor, targets: Tensor) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function = getattr(classification, f"multiclass_{name}")
            found = function(outputs.double().softmax(1), targets, CLASSES, average="none")
        both = [k for k in range(CLASSES) if 0 < (targets == k).sum() < len(targets)]
        if name == "average_precision":
            both = targets.unique().tolist()
        return float(found[both].mean()) if both else math.nan

    return reference


def where_both_are(reference: Reference, there: Callable[[Tensor], Tensor]) -> Reference:
    """NaN where one of the two kinds is missing, as scikit-learn has it; torchmetrics says 0."""

    def known(outputs: Tensor, targets: Tensor) -> float:
        return reference(outputs, targets) if len(there(targets).unique()) == 2 else math.nan

    return known


def top_k_accuracy(targets: Tensor, outputs: Tensor, k: int) -> float:
    return sklearn.metrics.top_k_accuracy_score(targets, outputs, k=k, labels=range(CLASSES))


def of_sklearn(name: str, pick: int | None = None) -> Reference:
    function = getattr(sklearn.metrics, name)
    if pick is None:
        return lambda outputs, targets: float(function(targets.double().numpy(), outputs.double().numpy()))
    return lambda outputs, targets: float(
        function(targets[:, pick].double().numpy(), outputs[:, pick].double().numpy())
    )


def numbers_far_out(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Three outputs of other sizes, one of them far from 0, where squares lose digits."""
    scale, offset = torch.tensor([1.0, 100.0, 1e-3]), torch.tensor([1e4, 0.0, 0.0])
    targets = torch.randn(samples, 3, generator=generator) * scale + offset
    return targets + torch.randn(versions, samples, 3, generator=generator) * scale, targets


def yes_or_no(labels: int | None) -> Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]:
    """Logits with ties, and targets of which both kinds are there."""

    def draw(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        shape = (samples,) if labels is None else (samples, labels)
        targets = torch.randint(2, shape, generator=generator)
        targets[0], targets[1] = 0, 1
        return torch.randn((versions, *shape), generator=generator).mul(4).round() / 2, targets

    return draw


def of_labels(name: str, labels: int | None = None, pick: int | None = None) -> Reference:
    function = getattr(classification, f"{'binary' if labels is None else 'multilabel'}_{name}")
    options: dict[str, Any] = {} if labels is None else {"num_labels": labels}
    if pick is not None:
        options["average"] = "none"

    def reference(outputs: Tensor, targets: Tensor) -> float:
        found = function(outputs.double().sigmoid(), targets, **options)
        return float(found if pick is None else found[pick])

    return reference


def entropy(outputs: Tensor, targets: Tensor) -> float:
    return float(binary_cross_entropy_with_logits(outputs.double(), targets.double()))


def labels_of_places(
    classes: int, shape: tuple[int, ...], *, last: bool
) -> Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]:
    """Scores of places, with ties, and labels of which some don't count."""

    def draw(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        labels = torch.randint(classes - 1, (samples, *shape), generator=generator)
        left_out = torch.rand(labels.shape, generator=generator) < 0.3
        left_out[0] = False
        labels[left_out] = -100
        if not last:
            labels[1].flatten()[0] = 255
        scores = torch.randn((versions, samples, *shape, classes), generator=generator).mul(8).round() / 4
        return scores if last else scores.movedim(-1, 2).contiguous(), labels

    return draw


def of_places(
    function: Callable[..., float], *, last: bool, predicted: bool = True, **options: Any
) -> Reference:
    """A figure of scikit-learn or torch of the places that count: of scores or predictions [places]."""

    def reference(outputs: Tensor, targets: Tensor) -> float:
        rows = (outputs if last else outputs.movedim(1, -1)).flatten(0, -2).double()
        labels = targets.flatten()
        counts = (labels != -100) & (labels != 255)
        rows, labels = rows[counts], labels[counts]
        if not predicted:
            return float(function(rows, labels))
        found = rows.argmax(-1)
        if options.get("labels") == "seen":
            seen = torch.cat([found, labels]).unique().tolist()
            return float(function(labels, found, labels=seen, average="macro"))
        return float(np.squeeze(function(labels, found, **options)))

    return reference


def near(outputs: int) -> Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]:
    """Outputs of a float network, and of others beside them."""

    def draw(versions: int, samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        targets = 3 * torch.randn(samples, outputs, generator=generator)
        return targets + torch.randn(versions, samples, outputs, generator=generator), targets

    return draw


def decibels(signal: Tensor, noise: Tensor) -> Tensor:
    return 10 * (signal / noise).log10()


def answers(outputs: Tensor) -> Tensor:
    return outputs.argmax(1) if outputs.shape[1] > 1 else outputs[:, 0] > 0


def divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each sample, by torch."""
    return kl_div(outputs.log_softmax(1), targets.log_softmax(1), reduction="none", log_target=True).sum(1)


def divergence_of_one(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of two classes with the scores 0 and the logit."""
    return divergence(*(torch.cat([torch.zeros_like(x), x], 1) for x in (outputs, targets)))


def of_differences(kl: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Reference]:
    each: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "sqnr": lambda x, y: decibels(y.square().sum(), (x - y).square().sum()),
        "worst_sqnr": lambda x, y: decibels(y.square().sum(1), (x - y).square().sum(1)).min(),
        "agreement": lambda x, y: (answers(x) == answers(y)).double().mean(),
        "cosine": lambda x, y: cosine_similarity(x, y).mean(),
        "worst_cosine": lambda x, y: cosine_similarity(x, y).min(),
        "kl": lambda x, y: kl(x, y).mean(),
        "worst_kl": lambda x, y: kl(x, y).max(),
        "mse": lambda x, y: (x - y).square().mean(),
        "worst_mse": lambda x, y: (x - y).square().mean(1).max(),
    }
    return {
        name: lambda x, y, compute=compute: float(compute(x.double(), y.double()))
        for name, compute in each.items()
    }


OF_LABELS = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "f1_score",
    "auroc": "auroc",
    "average_precision": "average_precision",
}
OF_NUMBERS = {
    "mse": "mean_squared_error",
    "rmse": "root_mean_squared_error",
    "mae": "mean_absolute_error",
    "r2": "r2_score",
}


@dataclass(frozen=True)
class Case:
    """A task, made-up outputs [V, n, ...] with targets [n, ...], and what each metric is on one version."""

    task: Task
    shape: tuple[int, ...]
    draw: Callable[[int, int, torch.Generator], tuple[Tensor, Tensor]]
    metrics: Mapping[str, Reference]
    network: Callable[[], nn.Module]
    data: Callable[[], Any]
    layer: str = "linear"  # whose formats are searched


CASES = {
    "classification": Case(
        Classification(),
        (CLASSES,),
        scores,
        {
            "accuracy": of_classes("accuracy", "micro"),
            "accuracy_macro": of_classes("accuracy"),
            "precision": of_classes("precision"),
            "recall": of_classes("recall"),
            "f1": of_classes("f1_score"),
            "f1[1]": of_classes("f1_score", "none", 1),
            "loss": lambda outputs, targets: float(cross_entropy(outputs.double(), targets)),
            "MulticlassAUROC": of_classes("auroc"),
            "balanced_accuracy": lambda x, y: sklearn.metrics.recall_score(
                y, x.argmax(1), labels=y.unique().tolist(), average="macro"
            ),
            "top_accuracy": lambda x, y: 1.0,  # there are only four
            "top_accuracy[2]": lambda x, y: top_k_accuracy(y, x, 2),
            "auroc": of_classes_present("auroc"),
            "average_precision": of_classes_present("average_precision"),
            "auroc[1]": where_both_are(of_classes("auroc", "none", 1), lambda targets: targets == 1),
            "calibration_error": lambda x, y: float(
                classification.multiclass_calibration_error(x.double().softmax(1), y, CLASSES)
            ),
        },
        partial(load_model, "jsc-three-linear"),
        partial(load_data, "jsc"),
    ),
    "binary": Case(
        Binary(),
        (),
        yes_or_no(None),
        {name: of_labels(theirs) for name, theirs in OF_LABELS.items()}
        | {"loss": entropy, "BinaryAUROC": of_labels("auroc")}
        | {"matthews_corrcoef": of_labels("matthews_corrcoef")},
        network,
        partial(Waves, above=0.0),
    ),
    "many labels": Case(
        Binary(),
        (3,),
        yes_or_no(3),
        {name: of_labels(theirs, 3) for name, theirs in OF_LABELS.items()}
        | {"loss": entropy, "f1[1]": of_labels("f1_score", 3, 1), "auroc[2]": of_labels("auroc", 3, 2)}
        | {"MultilabelRankingAveragePrecision": of_labels("ranking_average_precision", 3)},
        partial(network, 3),
        partial(Waves, outputs=3, above=0.0),
    ),
    "segmentation": Case(
        Segmentation(),
        (4, 2, 3),
        labels_of_places(4, (2, 3), last=False),
        {
            "mean_iou": of_places(sklearn.metrics.jaccard_score, last=False, labels="seen"),
            "pixel_accuracy": of_places(sklearn.metrics.accuracy_score, last=False),
            "loss": of_places(cross_entropy, last=False, predicted=False),
            "iou[1]": of_places(
                sklearn.metrics.jaccard_score, last=False, labels=[1], average=None, zero_division=0
            ),
        },
        segmenting,
        Stripes,
        "conv2d",
    ),
    "tokens": Case(
        Tokens(),
        (5, 7),
        labels_of_places(7, (5,), last=True),
        {
            "loss": of_places(cross_entropy, last=True, predicted=False),
            "perplexity": of_places(lambda x, y: cross_entropy(x, y).exp(), last=True, predicted=False),
            "accuracy": of_places(sklearn.metrics.accuracy_score, last=True),
        },
        speaking,
        Counting,
    ),
    "closeness": Case(
        Closeness(),
        (5,),
        near(5),
        of_differences(kl=divergence),
        partial(network, 5),
        partial(Echoes, 5),
    ),
    "closeness of one": Case(
        Closeness(),
        (1,),
        near(1),
        of_differences(kl=divergence_of_one),
        network,
        Echoes,
    ),
    "of a plug-in": Case(
        Nearness(),
        (),
        numbers,
        {
            "mse": of_sklearn("mean_squared_error"),
            "mae": of_sklearn("mean_absolute_error"),
            "R2Score": of_sklearn("r2_score"),
        },
        network,
        Waves,
    ),
    "regression": Case(
        Regression(),
        (),
        numbers,
        {name: of_sklearn(theirs) for name, theirs in OF_NUMBERS.items()}
        | {"mse[0]": of_sklearn("mean_squared_error"), "R2Score": of_sklearn("r2_score")},
        network,
        Waves,
    ),
    "regression of three": Case(
        Regression(),
        (3,),
        numbers_far_out,
        {name: of_sklearn(theirs) for name, theirs in OF_NUMBERS.items()}
        | {f"{name}[{k}]": of_sklearn(theirs, k) for name, theirs in OF_NUMBERS.items() for k in range(3)}
        | {"MeanAbsoluteError": of_sklearn("mean_absolute_error")},
        partial(network, 3),
        partial(Waves, outputs=3),
    ),
}
trained = {name: case for name, case in CASES.items() if "closeness" not in name}  # what a network is near to
every_trained_task = pytest.mark.parametrize("case", trained.values(), ids=trained.keys())  # follows itself
every_task = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def tally_of(case: Case, rows: int) -> Tally:
    return case.task.tally(rows, list(case.metrics), DataFacts(), case.shape)


def test_every_task_of_ours_is_here():
    assert {name for name, entry in TASKS.entries.items() if entry.package == "widthwise"} <= set(CASES)
    assert all(set(case.task.metrics) <= set(case.metrics) for case in CASES.values())


@pytest.mark.slow
@every_task
@given(samples=st.integers(8, 60), cuts=st.sets(st.integers(1, 59), max_size=4), seed=st.integers(0, 10**6))
def test_a_tally_over_any_blocks_gives_the_textbooks_figures(case, samples, cuts, seed):
    rng, versions = np.random.default_rng(seed), 3
    outputs, targets = case.draw(versions, samples, torch.Generator().manual_seed(seed))
    version_of = rng.integers(0, versions, 5)
    tally = tally_of(case, 0).fresh(5)
    edges = [0, *sorted(cut for cut in cuts if cut < samples), samples]
    for start, stop in pairwise(edges):
        order = rng.permutation(5)
        for rows in (order[:2], order[2:]):  # candidates come in parts
            tally.add(rows, outputs[:, start:stop], version_of[rows], targets[start:stop])
    found = tally.values(list(case.metrics))
    assert tally.failures == {}
    assert list(found) == list(case.metrics)
    for name, reference in case.metrics.items():
        expected = [reference(outputs[version], targets) for version in version_of]
        slack = 1e-4 if metric_of(case.task, name).source else 1e-6  # torchmetrics adds up in float32
        assert found[name] == pytest.approx(expected, rel=slack, abs=1e-6, nan_ok="auroc" in name), name


@every_task
@given(samples=st.integers(9, 40), seed=st.integers(0, 10**6))
def test_no_figure_ends_better_than_was_possible(case, samples, seed):
    outputs, targets = case.draw(2, samples, torch.Generator().manual_seed(seed))
    tally, names, rows = tally_of(case, 2), list(case.metrics), np.arange(2)
    tally.add(rows, outputs[:, :8], rows, targets[:8])
    hoped = tally.best_possible(names, samples)
    tally.add(rows, outputs[:, 8:], rows, targets[8:])
    for name, values in tally.values(names).items():
        if metric_of(case.task, name).direction == "maximize":
            assert (values <= hoped[name] + 1e-9).all(), name
        else:
            assert (values >= hoped[name] - 1e-9).all(), name


@every_task
def test_outputs_that_are_no_numbers_fail_their_candidate_alone(case):
    outputs, targets = case.draw(2, 20, torch.Generator().manual_seed(0))
    outputs[1, 3] = torch.nan
    tally, names = tally_of(case, 3), list(case.metrics)
    tally.add(np.arange(3), outputs, np.array([0, 1, 0]), targets)
    assert list(tally.failures) == [1]
    for values in tally.values(names).values():
        assert np.isnan(values).tolist() == [False, True, False]
    for values in tally.values(names, np.array([2])).values():
        assert np.isnan(values).tolist() == [True, True, False]
    assert tally.row_bytes > 0
    assert np.isnan(tally.fresh(1).values([names[0]], np.array([], dtype=int))[names[0]]).all()


def test_a_ranking_of_one_class_alone_is_nothing():
    for task, shape, targets in (
        (Binary(), (), torch.ones(6, dtype=torch.int64)),
        (Binary(), (2,), torch.zeros(6, 2, dtype=torch.int64)),
        (Classification(), (3,), torch.ones(6, dtype=torch.int64)),
    ):
        names = ["auroc", "accuracy"]
        tally = task.tally(1, names, DataFacts(), shape)
        tally.add(np.zeros(1, dtype=int), torch.randn(1, 6, *shape), np.zeros(1, dtype=int), targets)
        found = tally.values(names)
        assert np.isnan(found["auroc"]).all()
        assert np.isfinite(found["accuracy"]).all()


def test_yes_or_no_adds_up_to_its_metrics():
    case = CASES["binary"]
    outputs, targets = case.draw(3, 50, torch.Generator().manual_seed(0))
    answers = case.task.answers[0]
    right = (answers.margins(outputs, targets) > 0).double().numpy()
    for name in answers.metrics:
        expected = [case.metrics[name](one, targets) for one in outputs]
        assert right @ answers.shares(name, targets) == pytest.approx(expected)
    assert answers.shares("accuracy", torch.ones(4, 3)) is None  # none of several labels


def test_answers_that_count_add_up_to_their_metrics():
    case = CASES["classification"]
    outputs, targets = case.draw(3, 50, torch.Generator().manual_seed(0))
    answers = case.task.answers[0]
    right = (answers.margins(outputs, targets) > 0).double().numpy()
    present = targets.unique()  # macro averages are over the classes that there are
    recalls = [multiclass_recall(one, targets, CLASSES, average="none")[present] for one in outputs]
    expected = {
        "accuracy": [case.metrics["accuracy"](one, targets) for one in outputs],
        "accuracy_macro": [float(each.mean()) for each in recalls],
        "recall": [float(each.mean()) for each in recalls],
    }
    assert set(answers.metrics) == set(expected)
    for name, values in expected.items():
        assert right @ answers.shares(name, targets) == pytest.approx(values)


# ---- the engine


def space_of(case: Case, graph: Graph) -> QuantisationSpace:
    config = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [3, 4, 8], "bias_width": [8]}
    return QuantisationSpace(graph, by="type", seed={case.layer: {"config": config}})


@every_task
@pytest.mark.parametrize("count", [3, 12], ids=["with the memo", "together"])
def test_the_engine_agrees_with_one_network_per_candidate(case, count):
    graph, data = Graph(case.network()), case.data()
    space = space_of(case, graph)
    names = list(case.task.metrics)
    evaluator = Evaluator(graph, space, data, metrics=names, task=case.task)
    batch = space.sample(count, np.random.default_rng(0))
    found = evaluator(batch)
    assert evaluator.prepared.sharing is not None
    assert found.failures == {}
    x, y = (torch.cat(parts) for parts in zip(*data.val_dataloader(), strict=True))
    for row, candidate in enumerate(batch):
        with torch.no_grad():
            outputs = case.task.outputs(evaluator.network(candidate).model(x))
        whole = case.task.tally(1, names, evaluator.prepared.about, tuple(outputs.shape[1:]))
        whole.add(np.zeros(1, dtype=int), outputs[None], np.zeros(1, dtype=int), y)
        for name, values in whole.values(names).items():
            assert found[name][row] == pytest.approx(values[0], rel=1e-4), (name, row)


@every_task
def test_candidates_are_stopped_only_where_they_are_hopeless(case):
    graph, data = Graph(case.network()), case.data()
    space, name = space_of(case, graph), case.task.better[0]
    evaluator = Evaluator(graph, space, data, metrics=[name], task=case.task)
    batch = space.sample(12, np.random.default_rng(1))
    exact = evaluator(batch)[name]
    sign = 1 if case.task.metrics[name].direction == "maximize" else -1
    bound = np.median(sign * exact)

    def hopeless(costs: Mapping[str, Any], best: Mapping[str, Any]) -> Any:
        return sign * best[name] < bound

    found = evaluator.evaluate_pruning(batch, hopeless=hopeless)
    kept = ~np.isnan(found[name])
    assert (sign * exact >= bound).tolist() == (kept & (sign * exact >= bound)).tolist()
    assert found[name][kept] == pytest.approx(exact[kept])
    assert found.pruned == frozenset(np.flatnonzero(~kept).tolist())


@every_task
def test_metrics_follow_from_what_the_engine_tells_of_samples(case):
    graph, data = Graph(case.network()), case.data()
    space, names = space_of(case, graph), list(case.task.metrics)
    evaluator = Evaluator(graph, space, data, metrics=names, task=case.task)
    batch = space.sample(12, np.random.default_rng(0))
    follows = dict(zip(names, evaluator.follows(names), strict=True))
    wanted = {
        "classification": {"accuracy", "recall", "loss"},
        "binary": {"accuracy", "loss"},
        "regression": {"mse", "mae", "r2"},
        "segmentation": {"pixel_accuracy", "loss"},
        "tokens": {"accuracy", "loss", "perplexity"},
        "closeness": {"sqnr", "mse", "agreement", "cosine", "kl"},
    }
    assert {name for name, one in follows.items() if one} >= wanted.get(case.task.name, set())
    found = evaluator(batch)
    for name, one in follows.items():
        if one is not None:
            beyond = found[name] - figure(one, evaluator.margins(batch))
            assert beyond == pytest.approx(beyond[0], rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (3, 2, 2)])
def test_closeness_is_a_task_of_outputs_of_any_shape(shape):
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(40, *shape, generator=generator)
    outputs = targets + torch.randn(40, *shape, generator=generator)
    check_task(Closeness(), outputs, targets, DataFacts())


@pytest.mark.parametrize("shape", [(300,), (5, 40), (3, 9, 9)])
def test_of_many_outputs_few_sums_tell_about_the_same(shape):
    made = torch.Generator().manual_seed(0)
    targets = torch.randn(64, *shape, generator=made)
    noise = torch.randn(8, 64, *shape, generator=made) * torch.linspace(0.1, 2, 8).reshape(
        8, *[1] * (1 + len(shape))
    )
    told = told_of(Closeness(), ["sqnr", "mse", "agreement"], shape, targets)
    assert told is not None
    values = told.values(targets + noise, targets).numpy()
    true = noise.square().flatten(1).mean(1).numpy()
    assert figure(told.follows("mse", targets), values) == pytest.approx(true, rel=0.1)
    sqnr = figure(told.follows("sqnr", targets), values)
    assert np.diff(sqnr) == pytest.approx(np.diff(-10 * np.log10(true)), abs=0.5)
    assert told.follows("agreement", targets) is not None
    wide = Regression().answers
    assert wide.shares("mae", targets) is wide.shares("r2", targets) is wide.shares("rmse", targets) is None


def test_tasks_that_tell_nothing_of_samples_have_no_margins():
    graph = Graph(network())
    evaluator = Evaluator(graph, None, Waves(), metrics=["mse"], task=Nearness())
    assert evaluator.follows(["mse"]) == [None]
    with pytest.raises(UserError, match="nearness: nothing is told of single samples"):
        evaluator.margins(np.zeros((1, 0), dtype=int))


def test_targets_that_a_task_can_not_judge_by_are_refused():
    data = Waves()
    data.y = data.y.round().long()
    with pytest.raises(UserError, match="waves: its targets are"):
        evaluate(Graph(network()), data, metrics=["mse"], task=Nearness())
    with pytest.raises(UserError, match="waves: its targets are"):
        fit(network(), data, task=Nearness())
    labels = r"waves: its labels are float32 of shape \[64\] for x of shape \[64, 8\]; give whole numbers"
    with pytest.raises(UserError, match=labels + '.*; task = "regression" would do'):
        evaluate(Graph(network()), Waves(), metrics=["accuracy"], task="classification")
    with pytest.raises(
        UserError, match='regression takes a number for each output; task = "classification" would do'
    ):
        evaluate(Graph(load_model("jsc-tiny")), load_data("jsc"), metrics=["mse"], task="regression")


@pytest.mark.parametrize("name", ["accuracy", "f1[0]", "msee"])
def test_metrics_of_another_task_are_refused(name):
    with pytest.raises(UserError, match="no metric of nearness named"):
        evaluate(Graph(network()), Waves(), metrics=[name], task=Nearness())
    with pytest.raises(UserError, match=r"no metric (of regression )?named"):
        evaluate(Graph(network()), Waves(), metrics=[name])


def test_a_metric_of_another_task_says_of_which():
    with pytest.raises(UserError, match="accuracy is of classification"):
        metric_of("regression", "accuracy")


# ---- training


@every_trained_task
def test_training_keeps_the_epoch_that_is_best_by_the_task(case):
    model, data = case.network(), case.data()
    before = score(model, data.val_dataloader(), task=case.task)
    history = fit(model, data, epochs=12, learning_rate=0.1, task=case.task)
    kept = score(model, data.val_dataloader(), task=case.task)
    ranks = [ranked(case.task, epoch.values) for epoch in history.epochs]
    assert list(kept.values) == list(case.task.better)
    assert kept.values == history.best.values
    assert history.best_epoch == ranks.index(max(ranks)) + 1
    assert ranked(case.task, kept.values) > ranked(case.task, before.values)
    evaluated = evaluate(Graph(model), data, metrics=list(case.task.better), task=case.task)
    assert evaluated == pytest.approx(dict(kept.values), rel=1e-5)


@every_trained_task
def test_a_teacher_is_followed_by_the_tasks_distance(case):
    data, teacher, pupil = case.data(), case.network(), case.network()
    fit(teacher, data, epochs=10, task=case.task)
    x = next(iter(data.val_dataloader()))[0]

    def apart() -> float:
        with torch.no_grad():
            return float(case.task.distance(*(case.task.outputs(net.eval()(x)) for net in (pupil, teacher))))

    before = apart()
    train(pupil, data, Settings(epochs=10, distil=1.0), teacher=teacher, task=case.task)
    assert 0 <= apart() < before / 2


@every_task
@pytest.mark.parametrize(
    "options",
    [{"mode": "scratch"}, {"mode": "inherit", "importance": "taylor"}, {"mode": "supernet"}],
    ids=["scratch", "inherit", "supernet"],
)
def test_widths_are_trained_by_the_task(case, options):
    graph, data = Graph(case.network()), case.data()
    space, name = WidthSpace(graph, by="all", multipliers=[0.5, 1]), case.task.better[0]
    settings = Settings(epochs=3, learning_rate=1e-2)
    made = WidthEvaluator(graph, space, data, metrics=[name], settings=settings, task=case.task, **options)
    every = next(space.enumerate())
    found = made(every)
    assert found.failures == {}
    judged = evaluate(made.network(every[0]), made.data, metrics=[name], task=case.task)[name]
    assert found[name][0] == pytest.approx(judged, rel=1e-4)


# ---- by name


def test_classification_goes_by_two_names():
    assert task_of("cls") == task_of("classification") == Classification()
    with pytest.raises(UserError, match="no task named 'classificaton'; did you mean classification"):
        task_of("classificaton")


@pytest.mark.parametrize(
    ("said", "task"), [("cls", "classification"), ("Regression", "regression"), (None, None)]
)
def test_a_config_is_written_with_the_task_that_it_names(said, task):
    config = load_config({} if said is None else {"task": said})
    assert config.task == task
    assert tables_of(config).get("task") == task


SEARCH = {
    "task": "nearness",
    "search": {
        "search_space": {
            "name": "graph/quantize/mixed_precision_ptq",
            "setup": {"by": "type"},
            "seed": {
                "linear": {"config": {"name": ["integer"], "weight_width": [3, 4, 8], "bias_width": [8]}}
            },
        },
        "strategy": {
            "name": "brute-force",
            "metrics": {"mse": {"direction": "minimize"}, "model_size": {"direction": "minimize"}},
        },
        "constraints": {"mae": "<= 5"},
    },
}
SCRIPT = """
import json, sys
import widthwise as ww
from helpers.dense import Counting, Stripes, segmenting, speaking
from helpers.regression import Echoes, Nearness, Waves, network
from widthwise.config.trust import code_in
model, data, config = network(), Waves(), json.loads(sys.argv[1])
history = ww.fit(model, data, epochs=5, task="nearness")
found = ww.evaluate(ww.Graph(model), data, metrics=["mse", "R2Score"], task="nearness")
study = ww.search(model, data, config, out="run")
best = study.pick("best mse")
print(json.dumps({
    "fitted": history.best.values,
    "found": found,
    "trials": len(study.trials),
    "again": len(ww.load_run("run").trials),
    "metrics": [metric.name for metric in study.record.metrics],
    "best": dict(best.metrics),
    "least": min(trial.metrics["mse"] for trial in study.trials),
    "code": code_in(ww.load_config(config)),
    "kept": ww.load_config("run/config.toml").task,
}))
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which a package with the task is installed."""
    site = enter(tmp_path / "site", "waves", {"widthwise.tasks": {"nearness": "helpers.regression:Nearness"}})
    return environment(site, TESTS)


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )


@pytest.mark.slow
def test_a_task_of_a_plug_in_is_fitted_evaluated_and_searched_by_its_name(installed, tmp_path):
    done = run(installed, tmp_path, "-c", SCRIPT, json.dumps(SEARCH))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["fitted"]["mse"] == pytest.approx(told["found"]["mse"], rel=1e-4)
    assert told["found"]["R2Score"] < 1
    assert (told["trials"], told["again"]) == (9, 9)
    assert told["metrics"] == ["mse", "mae", "model_size", "average_bitwidth", "memory_density"]
    assert told["best"]["mse"] == told["least"]
    assert told["code"] == ["task nearness (package waves)"]
    assert told["kept"] == "nearness"


@pytest.mark.slow
def test_the_command_line_follows_the_task_of_a_plug_in(installed, tmp_path):
    named = {"model": "helpers.regression:network", "dataset": "helpers.regression:Waves"}
    (tmp_path / "waves.toml").write_text(dumps(named | SEARCH))
    trained = run(installed, tmp_path, "-m", "widthwise", "train", "waves.toml", "--epochs", "3")
    assert trained.returncode == 0, trained.stderr
    assert re.search(r"Best of 3 epochs: \d, validation mse \d", trained.stdout)
    tested = run(installed, tmp_path, "-m", "widthwise", "test", "waves.toml", "--json", "--part", "val")
    assert set(json.loads(tested.stdout)["val"]) == {"mse", "mae", "parameters", "model_size", "macs"}
    searched = run(installed, tmp_path, "-m", "widthwise", "search", "waves.toml", "--out", "run")
    assert searched.returncode == 0, searched.stderr
    asked = ("test", "--run", "run", "--trial", "0", "--json", "--metrics", "mse", "--part", "val")
    again = run(installed, tmp_path, "-m", "widthwise", *asked)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["val"]["mse"] > 0
    refused = run(installed, tmp_path, "-m", "widthwise", "test", "waves.toml", "--untrusted")
    assert refused.returncode != 0
    assert "task = nearness" in refused.stderr
