"""Segmentation by one logit a place, and by masks as readers of images and binary losses have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics.functional.classification import binary_accuracy, binary_jaccard_index

from helpers.judged import Batches
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.evaluators.engine import Evaluator, evaluate
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.segmentation import Segmentation
from widthwise.network.graph import Graph
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.testing import check_task
from widthwise.training import fit

METRICS = ["pixel_accuracy", "mean_iou", "iou[1]", "loss", "BinaryJaccardIndex"]
MADE = torch.Generator().manual_seed(0)
X = torch.rand(40, 3, 5, 6, generator=MADE)
MASKS = (X[:, 0] > 0.6).long()
SOME = MASKS.masked_fill(X[:, 1] < 0.2, 255)
FORMS = {
    "whole numbers": lambda masks: masks,
    "floats": lambda masks: masks.float(),
    "with an axis of channels": lambda masks: masks[:, None],
    "floats with an axis of channels": lambda masks: masks[:, None].float(),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 1, 1))
    nn.init.constant_(made[2].bias, -0.1)  # about half of the places are there
    return made


def of_torchmetrics(logits: Tensor, masks: Tensor) -> dict[str, float]:
    """Of logits [n, 1, ...] and masks [n, ...], by torchmetrics."""
    logits = logits[:, 0]
    there = (logits > 0).long()
    iou = binary_jaccard_index(there, masks, ignore_index=255)
    other = binary_jaccard_index(1 - there, torch.where(masks == 255, 255, 1 - masks), ignore_index=255)
    counts = masks != 255
    return {
        "pixel_accuracy": float(binary_accuracy(there, masks, ignore_index=255)),
        "mean_iou": float(iou + other) / 2,
        "iou[1]": float(iou),
        "loss": float(binary_cross_entropy_with_logits(logits[counts], masks[counts].float())),
        "BinaryJaccardIndex": float(iou),
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("masks", [MASKS, SOME], ids=["all", "some left out"])
def test_figures_are_those_of_torchmetrics(form: str, masks: Tensor) -> None:
    model, data = network().eval(), Batches((X,), FORMS[form](masks), class_names=("off", "on"))
    assert check_data_fits_model(model, data).task.name == "segmentation"
    with torch.no_grad():
        wanted = of_torchmetrics(model(X), masks)
    assert evaluate(model, data, metrics=METRICS) == pytest.approx(wanted, rel=1e-6)


def test_the_engine_agrees_with_one_network_per_candidate() -> None:
    data = Batches((X,), MASKS[:, None].float(), class_names=("off", "on"))
    graph = Graph(network())
    config = {"name": ["integer"], "data_in_width": [4, 8], "weight_width": [2, 3, 8]}
    space = QuantisationSpace(graph, by="type", seed={"conv2d": {"config": config}})
    evaluator = Evaluator(graph, space, data, metrics=METRICS)
    assert evaluator.prepared.sharing is not None
    batch = space.sample(12, np.random.default_rng(0))
    found = evaluator(batch)
    for row, candidate in enumerate(batch):
        with torch.no_grad():
            wanted = of_torchmetrics(evaluator.network(candidate).model(X), MASKS)
        assert {name: values[row] for name, values in found.items()} == pytest.approx(wanted, rel=1e-5)


def test_it_is_a_task_of_such_logits_and_masks() -> None:
    scores = Segmentation().outputs(torch.randn(12, 1, 5, 6, generator=MADE))
    check_task(Segmentation(), scores, SOME[:12, None].float(), DataFacts())


def test_training_minimises_the_binary_cross_entropy() -> None:
    model, data = network(), Batches((X,), MASKS[:, None].float(), class_names=("off", "on"))
    before = evaluate(model, data, metrics=["loss"])["loss"]
    fit(model, data, epochs=25, learning_rate=3e-2, class_weights="balanced")
    after = evaluate(model, data, metrics=["loss", "mean_iou"])
    assert after["loss"] < 0.5 * before
    assert after["mean_iou"] > 0.7


def test_where_another_task_is_said_it_is_told_which_would_do() -> None:
    data = Batches((X,), MASKS, class_names=("off", "on"))
    with pytest.raises(UserError, match='task = "segmentation" would do'):
        check_data_fits_model(network(), data, "binary")
    last = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2), nn.Unflatten(2, (5, 6)))
    given = Batches((X.movedim(1, -1),), MASKS)
    with pytest.raises(UserError, match="of classes on the last axis"):
        check_data_fits_model(nn.Linear(3, 4), given, "segmentation")
    assert check_data_fits_model(last, data).task.name == "segmentation"


def test_masks_of_0_and_255_alone_are_refused_unless_some_are_1() -> None:
    written = MASKS * 255
    for masks in (written, written[:, None].float()):
        with pytest.raises(UserError, match="labels are 0 and 255 alone, and 255 is left out; number the"):
            check_data_fits_model(network(), Batches((X,), masks), None)
    written[-1, 0, 0] = 1  # in the last batch
    for task in (None, "segmentation"):
        assert check_data_fits_model(network(), Batches((X,), written), task).task.name == "segmentation"
    assert check_data_fits_model(network(), Batches((X,), MASKS * 0)).task.name == "segmentation"
