"""Labels of classification as people have them: one-hot, soft, and with samples that are left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.finding import find_task
from widthwise.metrics.quality.margins import ClassAnswers
from widthwise.metrics.quality.tasks import own_metrics
from widthwise.testing import check_task
from widthwise.training.settings import Settings

CLASSES, SAMPLES = 4, 40
TASK = Classification()
GENERATOR = torch.Generator().manual_seed(0)
SCORES = 2 * torch.randn(SAMPLES, CLASSES, generator=GENERATOR)
LABELS = torch.randint(CLASSES, (SAMPLES,), generator=GENERATOR)
SOFT = torch.rand(SAMPLES, CLASSES, generator=GENERATOR).softmax(1)


def figures(targets: Tensor, scores: Tensor = SCORES) -> dict[str, float]:
    names = list(own_metrics("classification"))
    tally = TASK.tally(1, names, DataFacts(), (CLASSES,))
    for part in torch.arange(len(targets)).split(7):
        tally.add(np.array([0]), scores[None, part], np.array([0]), targets[part])
    return {name: float(values[0]) for name, values in tally.values(names).items()}


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_one_hot_labels_are_the_classes(dtype: torch.dtype) -> None:
    hot = one_hot(LABELS, CLASSES).to(dtype)
    assert find_task(hot, (CLASSES,), DataFacts()).task.name == "classification"
    TASK.check(hot, (CLASSES,), DataFacts())
    assert figures(hot) == pytest.approx(figures(LABELS), rel=1e-6)
    loss = TASK.loss(SCORES, hot, Settings())
    assert float(loss) == pytest.approx(float(cross_entropy(SCORES, LABELS)), rel=1e-6)


def test_soft_labels_are_what_the_loss_is_of() -> None:
    assert find_task(SOFT, (CLASSES,), DataFacts()).task.name == "classification"
    found, hard = figures(SOFT), figures(SOFT.argmax(1))
    assert found["loss"] == pytest.approx(float(cross_entropy(SCORES.double(), SOFT.double())), rel=1e-6)
    others = set(found) - {"loss"}
    assert {name: found[name] for name in others} == {name: hard[name] for name in others}


def test_samples_with_the_label_minus_100_count_nowhere() -> None:
    labels = LABELS.clone()
    labels[::3] = -100
    kept = labels != -100
    TASK.check(labels, (CLASSES,), DataFacts())
    assert figures(labels) == pytest.approx(figures(labels[kept], SCORES[kept]), rel=1e-6)
    shares = ClassAnswers().shares("accuracy", labels)
    right = (ClassAnswers().margins(SCORES[None], labels)[0] > 0).numpy()
    assert right @ shares == pytest.approx(figures(labels)["accuracy"])
    assert (shares[~kept.numpy()] == 0).all()


@pytest.mark.parametrize("targets", [LABELS, one_hot(LABELS, CLASSES).float(), SOFT])
def test_it_stays_a_task(targets: Tensor) -> None:
    check_task(TASK, SCORES, targets, DataFacts())


def test_left_out_labels_stay_a_task() -> None:
    labels = LABELS.clone()
    labels[1::4] = -100
    check_task(TASK, SCORES, labels, DataFacts())


@pytest.mark.parametrize("name", ["top_accuracy[0]", "top_accuracy[many]"])
def test_a_number_of_classes_that_is_none_is_told(name: str) -> None:
    with pytest.raises(UserError, match="is no number of classes"):
        TASK.tally(1, [name], DataFacts(), (CLASSES,))


def test_shares_that_are_not_1_together_are_no_classes() -> None:
    with pytest.raises(UserError, match="give whole numbers"):
        TASK.check(2 * SOFT, (CLASSES,), DataFacts())
