"""Quality in detail is what scikit-learn and torchmetrics compute of the same outputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, mean_absolute_error, precision_recall_fscore_support, r2_score
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_jaccard_index

from widthwise.metrics.quality.binary import Binary
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.detail.collecting import Collector, collector_of
from widthwise.metrics.quality.detail.found import QualityDetail, Table
from widthwise.metrics.quality.detail.telling import MOST_CONFUSED, MOST_ROWS, MOST_SAMPLES, detail_of
from widthwise.metrics.quality.regression import Regression
from widthwise.metrics.quality.segmentation import Segmentation
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tokens import Tokens

ONE = np.zeros(1, dtype=np.int64)


def collected(task: Task, outputs: Tensor, targets: Tensor) -> Collector:
    """As an evaluator adds it: in blocks."""
    found = collector_of(task, tuple(outputs.shape[1:]))
    assert found is not None
    for start in range(0, len(outputs), 7):
        found.add(ONE, outputs[None, start : start + 7], ONE, targets[start : start + 7])
    return found


def figures(table: Table, *, beside: bool = False) -> np.ndarray:
    return np.array([row.beside if beside else row.pick for row in table.rows])


def both(task: Task, shape: tuple[int, ...], targets: Tensor) -> tuple[QualityDetail, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    first, second = (torch.randn((len(targets), *shape), generator=generator) for _ in range(2))
    return detail_of(collected(task, first, targets), collected(task, second, targets)), first, second


def labels(*shape: int, classes: int, ignored: bool = True) -> Tensor:
    found = torch.randint(0, classes, shape, generator=torch.Generator().manual_seed(5))
    if ignored:
        found.view(-1)[::5] = -100
    return found


CLASSES: dict[str, tuple[Task, tuple[int, ...], Tensor, Callable[[Tensor], Tensor]]] = {
    "classification": (Classification(), (4,), labels(40, classes=4), lambda y: y.argmax(1)),
    "binary": (Binary(), (1,), labels(40, classes=2, ignored=False), lambda y: (y[:, 0] > 0).long()),
    "segmentation": (Segmentation(), (3, 4, 5), labels(12, 4, 5, classes=3), lambda y: y.argmax(1)),
    "tokens": (Tokens(), (6, 5), labels(12, 6, classes=5), lambda y: y.argmax(-1)),
}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_are_as_scikit_learn_has_them(name: str) -> None:
    task, shape, targets, taken = CLASSES[name]
    detail, first, second = both(task, shape, targets)
    counted = (targets != -100).numpy()
    assert detail.confusion is not None
    for outputs, matrix, beside in (
        (first, detail.confusion.pick, False),
        (second, detail.confusion.beside, True),
    ):
        truth, found = targets.numpy()[counted], taken(outputs).numpy()[counted]
        assert np.array_equal(matrix, confusion_matrix(truth, found, labels=range(len(matrix))))
        told = figures(detail.tables[0], beside=beside)
        wanted = precision_recall_fscore_support(truth, found, labels=range(len(matrix)), zero_division=0)
        assert told[:, 1:4] == pytest.approx(np.stack(wanted[:3], 1))
        assert np.array_equal(told[:, 0], wanted[3])
    if name == "segmentation":
        jaccard = multiclass_jaccard_index(first, targets, 3, average=None, ignore_index=-100)
        assert figures(detail.tables[0])[:, 4] == pytest.approx(jaccard.numpy())


def test_several_labels_are_as_scikit_learn_has_them() -> None:
    targets = labels(40, 3, classes=2, ignored=False)
    detail, first, _ = both(Binary(), (3,), targets)
    wanted = precision_recall_fscore_support(targets.numpy(), (first > 0).numpy(), zero_division=0)
    assert figures(detail.tables[0])[:, 1:] == pytest.approx(np.stack(wanted[:3], 1))
    assert detail.confusion is None


def test_outputs_are_as_scikit_learn_has_them_and_every_error_is_in_the_histogram() -> None:
    targets = torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) * 3 + 100
    detail, first, second = both(Regression(), (3,), targets)
    table, histogram = detail.tables[0], detail.histogram
    assert table.figures == ("mse", "rmse", "mae", "r2", "mean error")
    for outputs, beside in ((first, False), (second, True)):
        told, truth, given = figures(table, beside=beside), targets.double().numpy(), outputs.double().numpy()
        assert told[:, 0] == pytest.approx(((given - truth) ** 2).mean(0))
        assert told[:, 2] == pytest.approx(mean_absolute_error(truth, given, multioutput="raw_values"))
        assert told[:, 3] == pytest.approx(r2_score(truth, given, multioutput="raw_values"))
        assert told[:, 4] == pytest.approx((given - truth).mean(0))
    assert histogram is not None
    assert sum(histogram.pick) == sum(histogram.beside) == 120
    errors = (first.double() - targets.double()).numpy()
    assert np.array_equal(histogram.pick, np.histogram(errors, histogram.edges)[0])


def test_the_worst_samples_are_those_of_greatest_loss_with_their_numbers() -> None:
    targets = labels(40, classes=4)
    detail, first, second = both(Classification(), (4,), targets)
    each, other = (
        cross_entropy(y.double(), targets, reduction="none", ignore_index=-100) for y in (first, second)
    )
    order = sorted((n for n in range(40) if targets[n] != -100), key=lambda n: -float(each[n]))
    rows = detail.tables[-1].rows
    assert [row.name for row in rows] == [str(number) for number in order[:MOST_SAMPLES]]
    assert [row.pick[0] for row in rows] == pytest.approx(each[order[:MOST_SAMPLES]].tolist())
    assert [row.beside[0] for row in rows] == pytest.approx(other[order[:MOST_SAMPLES]].tolist())


def test_of_very_many_classes_the_weakest_and_the_most_frequent_mistakes_are_told() -> None:
    classes = 200
    targets = labels(600, classes=classes, ignored=False)
    outputs = torch.zeros(600, classes)
    taken = torch.where(targets == 7, 8, targets)  # every 7 is taken for 8, all else is right
    outputs[torch.arange(600), taken] = 1.0
    detail = detail_of(collected(Classification(), outputs, targets), None)
    table, mistakes, _ = detail.tables
    assert classes > MOST_CONFUSED
    assert detail.confusion is None
    assert len(table.rows) == MOST_ROWS
    assert [row.name for row in table.rows[:2]] == ["7", "8"]
    assert [(row.name, row.pick) for row in mistakes.rows] == [
        ("7 taken for 8", (float((targets == 7).sum()),))
    ]
    assert any(f"{MOST_ROWS} of the" in note for note in detail.notes)
