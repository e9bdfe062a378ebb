"""Scoring: from stacks of scores to counts of each class and one loss sum for each version."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

MANY_CLASSES = 32  # above, one pass for the greatest beats a pass for each class
FEW_VERSIONS = 8  # up to here so too, as the passes are many calls
AT_ONCE = 2**17  # scores of a class that go together, so that the passes over them stay in the cache


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Of V versions: hits and predicted [V, C] int64, loss_sum [V] float64, broken [V] bool.

    hits counts the samples of a class that are rightly predicted, predicted all that are taken for it.
    """

    hits: Tensor
    predicted: Tensor
    loss_sum: Tensor
    broken: Tensor  # some score is NaN


def count_outcomes(scores: Tensor, labels: Tensor, *, loss: bool) -> Outcomes:
    """Outcomes of scores [V, n, C] for labels [n]; among equal scores the first class is predicted.

    Without `loss` its sums are NaN: exponentials are most of the work.
    """
    by_class = scores.transpose(1, 2)  # [V, C, n], as linear layers leave it
    if scores.shape[2] > MANY_CLASSES or len(scores) <= FEW_VERSIONS:
        hits, predicted, broken = _by_greatest(by_class, labels)
    else:
        truth = one_hot(labels, scores.shape[2]).t().to(torch.float32).contiguous()
        hits, predicted, broken = _by_passes(by_class, truth)
    return Outcomes(hits, predicted, _loss_sums(by_class, labels, loss), broken)


def _by_passes(by_class: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hits, predicted and broken of scores [V, C, n], truth [C, n]."""
    versions, classes, samples = by_class.shape
    size = min(max(1, AT_ONCE // max(1, samples)), versions)
    passes = _Passes(truth, by_class.new_empty((classes, size, samples)), truth.new_empty((size, samples)))
    hits, up_to = truth.new_zeros((versions, classes)), truth.new_zeros((versions, classes))
    broken = torch.empty(versions, dtype=torch.bool, device=by_class.device)
    for start in range(0, versions, size):
        part = slice(start, start + size)
        broken[part] = passes(by_class[part], hits[part], up_to[part])
    predicted = up_to.diff(dim=1, prepend=truth.new_zeros((versions, 1)))
    return hits.to(torch.int64), predicted.to(torch.int64), broken


@dataclass(frozen=True, eq=False)
class _Passes:
    """Passes over the scores of a class, in memory taken once: fresh pages cost more than a pass.

    A class up to which the greatest score is the greatest of all, but not before it, is predicted. truth
    [C, n] float32: ones and zeros, whose sums to 2^24 are exact.
    """

    truth: Tensor
    so_far: Tensor  # [C, most versions, n] of the scores' type: the greatest up to each class
    reached: Tensor  # [most versions, n] like truth: whether it is the greatest of all

    def __call__(self, by_class: Tensor, hits: Tensor, up_to: Tensor) -> Tensor:
        """Takes in scores [V, C, n]: hits, and how many are predicted up to a class, [V, C]; gives broken."""
        versions, classes, samples = by_class.shape
        so_far = [by_class[:, 0], *self.so_far[1:, :versions]]
        for number in range(1, classes):
            torch.maximum(so_far[number - 1], by_class[:, number], out=so_far[number])
        highest, reached = so_far[-1], self.reached[:versions]  # NaN where any score is
        hits[:, -1], up_to[:, -1] = self.truth[-1].sum(), samples  # all have reached it with the last class
        for number in range(classes - 1):
            torch.eq(so_far[number], highest, out=reached)  # ones and zeros: no booleans to be converted
            torch.sum(reached, 1, out=up_to[:, number])
            hits[:, number].addmv_(reached, self.truth[number])
            hits[:, number + 1].addmv_(reached, self.truth[number + 1], alpha=-1)
        broken: Tensor = highest.amax(1).isnan()
        return broken


def _by_greatest(by_class: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of labels [n]."""
    versions, classes, _ = by_class.shape
    highest, predicted = by_class.max(1)
    right = (predicted == labels).flatten()
    if versions > 1:
        predicted = predicted + torch.arange(versions, device=labels.device)[:, None] * classes
    cells, size = predicted.flatten(), versions * classes
    hits = cells.bincount(right, minlength=size).to(torch.int64).view(versions, classes)
    return hits, cells.bincount(minlength=size).view(versions, classes), highest.amax(1).isnan()


def _loss_sums(by_class: Tensor, labels: Tensor, wanted: bool) -> Tensor:
    versions, _, samples = by_class.shape
    if not wanted:
        return torch.full((versions,), torch.nan, dtype=torch.float64, device=by_class.device)
    losses = cross_entropy(by_class, labels.expand(versions, samples), reduction="none")
    return losses.sum(1, dtype=torch.float64)
