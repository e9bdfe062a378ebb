"""Scoring: from stacks of scores to one confusion matrix and one loss sum for each version."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

MANY_CLASSES = 32  # above, one pass for the greatest beats a pass for each class


@dataclass(frozen=True, eq=False)
class Counts:
    """Of V versions: confusion [V, C, C] int64 (rows: true class), loss_sum [V] float64, broken [V] bool."""

    confusion: Tensor
    loss_sum: Tensor
    broken: Tensor  # some score is NaN


def count_outcomes(scores: Tensor, labels: Tensor, *, loss: bool) -> Counts:
    """Outcomes of scores [V, n, C] for labels [n]; among equal scores the first class is predicted.

    Without `loss` its sums are NaN: exponentials are most of the work.
    """
    by_class = scores.transpose(1, 2)  # [V, C, n], as linear layers leave it
    highest = by_class.amax(1)  # [V, n]; NaN where any score is
    broken = highest.isnan().any(1)
    return Counts(_confusion(by_class, highest, labels), _loss_sums(by_class, labels, loss), broken)


def _confusion(by_class: Tensor, highest: Tensor, labels: Tensor) -> Tensor:
    """Confusion matrices [V, C, C] of scores [V, C, n] whose greatest are [V, n]."""
    versions, classes, _ = by_class.shape
    if classes > MANY_CLASSES:
        predicted = by_class.argmax(1)  # the first of equals
        cells = (
            predicted + labels * classes + torch.arange(versions, device=labels.device)[:, None] * classes**2
        )
        return cells.flatten().bincount(minlength=versions * classes**2).view(versions, classes, classes)
    truth = one_hot(labels, classes).to(torch.float32)  # counts up to 2^24 are exact
    confusion = torch.empty((versions, classes, classes), dtype=torch.int64, device=labels.device)
    settled = torch.zeros_like(highest, dtype=torch.bool)
    for number in range(classes):
        hit = by_class[:, number] == highest
        if number:
            hit &= ~settled
        settled |= hit
        confusion[:, :, number] = hit.to(torch.float32) @ truth
    return confusion


def _loss_sums(by_class: Tensor, labels: Tensor, wanted: bool) -> Tensor:
    versions, _, samples = by_class.shape
    if not wanted:
        return torch.full((versions,), torch.nan, dtype=torch.float64, device=by_class.device)
    losses = cross_entropy(by_class, labels.expand(versions, samples), reduction="none")
    return losses.sum(1, dtype=torch.float64)
