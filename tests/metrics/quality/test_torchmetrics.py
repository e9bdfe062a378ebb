"""torchmetrics metrics by name, fed batch by batch, against torchmetrics given all samples at once."""

from __future__ import annotations

import importlib
import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import classification

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.binary import Binary
from widthwise.metrics.quality.class_scores import class_feed
from widthwise.metrics.quality.closeness import Closeness
from widthwise.metrics.quality.regression import Regression
from widthwise.metrics.quality.segmentation import Segmentation
from widthwise.metrics.quality.task import Tally, Task
from widthwise.metrics.quality.tokens import Tokens
from widthwise.metrics.quality.torchmetrics import accumulator
from widthwise.metrics.torchmetrics_names import torchmetrics_classes


def jets(classes: int = 5, *, scale: float = 3.0, samples: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(classes)
    labels = torch.randint(classes, (samples,), generator=generator)
    logits = torch.randn(samples, classes, generator=generator)
    logits[torch.arange(samples), labels] += 1
    return scale * logits, labels


def in_batches(name: str, logits: Tensor, labels: Tensor, **options: Any) -> float:
    found = accumulator(name, class_feed(logits.shape[1]), options)
    for x, y in zip(logits.split(64), labels.split(64), strict=True):
        found.update(x, y)
    return found.compute()


SCALAR = [
    *(
        "Accuracy",
        "AUROC",
        "AveragePrecision",
        "CalibrationError",
        "CohenKappa",
        "F1Score",
        "HammingDistance",
    ),
    *("HingeLoss", "JaccardIndex", "MatthewsCorrCoef", "NegativePredictiveValue", "Precision", "Recall"),
    *("Specificity",),
]


@pytest.mark.parametrize("short", SCALAR)
def test_multiclass_metrics_equal_torchmetrics_on_all_samples(short: str) -> None:
    logits, labels = jets()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = float(getattr(classification, f"Multiclass{short}")(num_classes=5)(logits, labels))
    assert in_batches(f"Multiclass{short}", logits, labels) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("short", SCALAR)
def test_binary_metrics_take_the_second_class_as_positive(short: str) -> None:
    logits, labels = jets(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = getattr(classification, f"Binary{short}")()
        given = logits[:, 1] - logits[:, 0] if short == "HingeLoss" else logits.softmax(1)[:, 1]
        expected = float(metric(given, labels))
    assert in_batches(f"Binary{short}", logits, labels) == pytest.approx(expected, abs=1e-6)


def test_a_class_that_dispatches_on_the_task_is_multiclass() -> None:
    logits, labels = jets()
    expected = classification.CohenKappa(task="multiclass", num_classes=5, weights="linear")(logits, labels)
    assert in_batches("CohenKappa", logits, labels, weights="linear") == pytest.approx(
        float(expected), abs=1e-6
    )
    assert in_batches("cohen_kappa", logits, labels, weights="linear") == pytest.approx(
        float(expected), abs=1e-6
    )


def test_options_reach_the_metric() -> None:
    logits, labels = jets()
    expected = classification.MulticlassAccuracy(num_classes=5, average="micro", top_k=2)(logits, labels)
    found = in_batches("MulticlassAccuracy", logits, labels, average="micro", top_k=2)
    assert found == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("name", ["MulticlassAUROC", "MulticlassCalibrationError", "MulticlassAccuracy"])
def test_logits_that_all_lie_between_0_and_1_are_not_taken_for_probabilities(name: str) -> None:
    logits, labels = jets(scale=0.05)
    logits = logits.sub(logits.min()).mul(0.9 / logits.max().sub(logits.min()))
    assert logits.min() >= 0
    assert logits.max() <= 1
    expected = in_batches(name, logits.double() - 5, labels)  # the same softmax, beyond doubt logits
    assert in_batches(name, logits, labels) == pytest.approx(expected, abs=1e-6)


def test_binary_scores_between_0_and_1_are_not_taken_for_probabilities() -> None:
    _, labels = jets(2)
    logits = torch.stack([torch.zeros(200), torch.linspace(0.1, 0.9, 200)], dim=1)
    expected = classification.BinaryCalibrationError()(logits.softmax(1)[:, 1], labels)
    assert in_batches("BinaryCalibrationError", logits, labels) == pytest.approx(float(expected), abs=1e-6)


def test_each_candidate_has_an_accumulator_of_its_own() -> None:
    logits, labels = jets()
    first = accumulator("MulticlassCohenKappa", class_feed(5))
    second = first.fresh()
    first.update(logits, labels)
    second.update(-logits, labels)
    assert first.compute() > 0 > second.compute()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_taken(dtype: torch.dtype) -> None:
    logits, labels = jets()
    found = in_batches("MulticlassAUROC", logits.to(dtype), labels)
    assert found == pytest.approx(in_batches("MulticlassAUROC", logits.to(dtype).float(), labels), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("MulticlassConfusionMatrix", {}, "gives 25 numbers; choose a metric that gives one number"),
        ("MulticlassF1Score", {"average": "none"}, 'gives 5 numbers; set average = "macro"'),
        ("MulticlassROC", {}, "gives 3 results"),
        ("MulticlassAUROC", {"avrage": "macro"}, "no option avrage; did you mean average?"),
        ("MulticlassAUROC", {"average": "best"}, "does not work on the scores of 5 classes"),
        ("MulticlassAUROC", {"num_classes": 4}, "num_classes = 4, the data have 5; leave it out"),
        ("MulticlassFBetaScore", {}, "needs beta among its options"),
        ("MulticlassStatScores", {"average": "micro"}, "gives 5 numbers; choose a metric"),
        ("CohenKappa", {"task": "multilabel"}, "use the Multiclass one"),
        ("BinaryAUROC", {}, "is for two classes, the data have 5"),
        ("MultilabelAccuracy", {}, "is for several labels a sample; use the Multiclass one"),
        ("ContinuousRankedProbabilityScore", {}, "no metric named"),
        ("MeanSquaredError", {}, "is of torchmetrics.regression and not for the scores of 5 classes"),
        ("accuracy", {}, "a metric of widthwise itself"),
        ("MulticlassAUROK", {}, "did you mean MulticlassAUROC?"),
    ],
)
def test_what_can_not_be_a_metric_is_refused_at_once(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        accumulator(name, class_feed(5), options, where="lab3.toml: metrics")
    assert str(error.value).startswith("lab3.toml: metrics: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def refusal(full: str) -> str | None:
    try:
        accumulator(full, class_feed(5))
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("full", sorted(torchmetrics_classes().values()))
def test_every_public_class_works_or_is_refused_in_one_line(full: str) -> None:
    logits, labels = jets()
    made = getattr(importlib.import_module(full.rpartition(".")[0]), full.rpartition(".")[2])
    reason = refusal(full)
    if reason is not None:
        assert reason.startswith(full)
        assert "\n" not in reason
        return
    value = in_batches(full, logits, labels)
    given = {"task": "multiclass", "num_classes": 5}
    known = {key: given[key] for key in given if key in inspect.signature(made).parameters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = float(made(**known)(logits, labels))
    assert value == pytest.approx(expected, abs=1e-5, nan_ok=True)


def labelled(samples: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    there = torch.randint(2, (samples, 3), generator=generator)
    return 2 * torch.randn(samples, 3, generator=generator) + there, there


def measured(samples: int = 200) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(samples, generator=generator) + 1
    return targets + 0.1 * torch.randn(samples, generator=generator), targets


def pixels(samples: int = 20) -> tuple[Tensor, Tensor]:
    """Scores [n, 4, 5, 5], of which some labels don't count: -100, and 255 as image data sets have it."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (samples, 5, 5), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = -100
    labels[0] = -100  # a batch's first sample may be left out as a whole
    labels[1, 0, 0] = 255
    return 2 * torch.randn(samples, 4, 5, 5, generator=generator), labels


def words(samples: int = 30) -> tuple[Tensor, Tensor]:
    scores, labels = pixels(samples)
    return scores.flatten(2).transpose(1, 2).contiguous(), labels.flatten(1).clamp(max=3)


def flat(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [places, C] and labels of the places that count, the classes being last."""
    counted = (targets >= 0) & (targets < 4)
    return outputs[counted], targets[counted]


OTHERS: dict[str, tuple[Task, tuple[Tensor, Tensor], tuple[Tensor, Tensor], dict[str, Any]]] = {
    "multilabel": (
        Binary(),
        labelled(),
        (labelled()[0].sigmoid(), labelled()[1]),
        {"num_labels": 3, "task": "multilabel"},
    ),
    "regression": (Regression(), measured(), measured(), {}),
    "closeness": (Closeness(), measured(), measured(), {}),
    "segmentation": (
        Segmentation(),
        pixels(),
        flat(pixels()[0].movedim(1, -1), pixels()[1]),
        {"num_classes": 4, "task": "multiclass"},
    ),
    "tokens": (Tokens(), words(), flat(*words()), {"num_classes": 4, "task": "multiclass"}),
}
WORK = {  # at least these of each
    "multilabel": ("MultilabelF1Score", "F1Score", "MultilabelCoverageError", "ExactMatch", "BinaryAUROC"),
    "regression": ("R2Score", "MeanAbsolutePercentageError", "SpearmanCorrCoef", "ConcordanceCorrCoef"),
    "closeness": ("R2Score", "ExplainedVariance", "PearsonCorrCoef"),
    "segmentation": ("MulticlassCohenKappa", "JaccardIndex", "MulticlassCalibrationError", "F1Score"),
    "tokens": ("MulticlassAccuracy", "MulticlassMatthewsCorrCoef", "MulticlassF1Score"),
}
NONSENSE = ("MeanMetric", "SignalNoiseRatio", "CharErrorRate", "RetrievalMAP", "BLEUScore")


def tally_or_reason(task: Task, name: str, outputs: Tensor) -> tuple[Tally | None, str]:
    try:
        return task.tally(1, [name], DataFacts(), tuple(outputs.shape[1:])), ""
    except UserError as error:
        return None, str(error)


@pytest.mark.parametrize("kind", OTHERS)
def test_every_public_class_works_or_is_refused_in_each_task(kind: str) -> None:
    task, (outputs, targets), direct, given = OTHERS[kind]
    worked = set()
    for full in sorted(torchmetrics_classes().values()):
        room, _, short = full.rpartition(".")
        tally, reason = tally_or_reason(task, full, outputs)
        if tally is None:
            assert reason.startswith(full)
            assert "\n" not in reason
            continue
        for part in (slice(0, 1), slice(1, 4), slice(4, None)):
            tally.add(np.array([0]), outputs[None, part], np.array([0]), targets[part])
        made = getattr(importlib.import_module(room), short)
        known = {key: given[key] for key in given if key in inspect.signature(made).parameters}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            metric = made(**known)
            metric.update(*direct)
            expected = float(metric.compute())
        assert tally.failures == {}
        found = float(tally.values([full])[full][0])
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5, nan_ok=True), full
        worked.add(short)
    assert worked >= set(WORK[kind])
    assert not worked & set(NONSENSE)


def test_options_reach_metrics_of_every_task() -> None:
    outputs, targets = pixels()
    task, options = Segmentation(), {"MulticlassAccuracy": {"average": "micro"}}
    tally = task.tally(1, ["MulticlassAccuracy"], DataFacts(), (4, 5, 5), options)
    tally.add(np.array([0]), outputs[None], np.array([0]), targets)
    x, y = flat(outputs.movedim(1, -1), targets)
    right = float((x.argmax(1) == y).double().mean())
    assert tally.values(["MulticlassAccuracy"])["MulticlassAccuracy"][0] == pytest.approx(right)
    with pytest.raises(UserError, match="has no option averag; did you mean average"):
        task.tally(1, ["F1Score"], DataFacts(), (4, 5, 5), {"F1Score": {"averag": "micro"}})


@pytest.mark.parametrize("name", ["MulticlassAccuracy", "MulticlassCohenKappa", "JaccardIndex"])
def test_what_grows_with_the_square_of_a_vocabulary_is_refused_before_it_is_made(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} grows with the square of the classes"):
        Tokens().tally(1, [name], DataFacts(), (8, 50_000))


def test_what_does_not_grow_so_is_computed_of_a_large_vocabulary() -> None:
    names = ["MulticlassAccuracy", "MulticlassHingeLoss"]
    options = {"MulticlassAccuracy": {"average": "micro"}}
    tally = Tokens().tally(1, names, DataFacts(), (8, 50_000), options)
    outputs, targets = torch.randn(1, 2, 8, 50_000), torch.randint(50_000, (2, 8))
    outputs[0, 0].scatter_(1, targets[0, :, None], 20.0)
    tally.add(np.array([0]), outputs, np.array([0]), targets)
    assert tally.values(names)["MulticlassAccuracy"][0] == 0.5


def test_a_metric_of_very_many_classes_is_tried_on_few() -> None:
    feed = class_feed(50_000)
    assert feed.outputs.numel() < 2**24


def test_one_that_counts_batches_of_samples_without_labels_otherwise_is_refused():
    tally, reason = tally_or_reason(Binary(), "MultilabelRankingLoss", torch.rand(8, 3))
    assert tally is None
    assert reason.endswith("choose a metric that does not depend on how data is cut")
