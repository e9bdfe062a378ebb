"""How scores of classes are fed to metrics of torchmetrics."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.metrics.quality.torchmetrics import Adapt, Feed, Take, as_they_are

TRIED = 64  # classes that a metric is tried on: a sample of each of very many would fill the memory
FEW = 1024  # classes, up to which their square is no matter


def class_feed(classes: int, take: Take = as_they_are) -> Feed:
    """The feed of scores [n, C] before softmax and labels [n] int64, which are taken of a task's."""
    labels = torch.arange(min(classes, TRIED)).repeat(2)
    outputs = 0.5 * torch.arange(classes).repeat(len(labels), 1)
    outputs[torch.arange(len(labels)), labels] += 4.0
    return Feed(
        outputs=outputs,
        targets=labels,
        said=f"the scores of {classes} classes",
        fixed={"num_classes": classes},
        filled={"task": "multiclass"},
        adapt=partial(_adapter, classes),
        domains=("classification", "nominal"),
        take=take,
        small=class_feed(FEW) if classes > FEW else None,
    )


def _adapter(classes: int, name: str, metric: Any, place: str) -> Adapt:
    """A binary metric takes one score a sample: the difference of the logits (its sigmoid: softmax)."""
    if not type(metric).__name__.startswith("Binary"):
        return as_logits
    if classes != 2:
        raise UserError(f"{place}{name} is for two classes, the data have {classes}; use the Multiclass one")
    return lambda logits: as_logits(logits[:, 1] - logits[:, 0])


def as_logits(scores: Tensor) -> Tensor:
    """The scores such that torchmetrics reads them as logits.

    It takes a batch for probabilities if all its values lie in [0, 1], which logits may do by chance. Those
    are moved above 1: for scores [n, C] that changes neither order nor softmax, in float64 without rounding.
    Single scores [n], where a shift would matter, are turned into the probabilities that they stand for.
    """
    scores = scores if scores.dtype in (torch.float32, torch.float64) else scores.float()
    if scores.numel() == 0 or not bool(((scores >= 0) & (scores <= 1)).all()):
        return scores
    return scores.sigmoid() if scores.ndim == 1 else scores.double() + 2
