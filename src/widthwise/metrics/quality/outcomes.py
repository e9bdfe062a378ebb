"""Scoring: from stacks of scores to counts of each class and one loss sum for each version."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

MANY_CLASSES = 32  # above, one pass for the greatest beats a pass for each class
AT_ONCE = 2**18  # scores of a class that go together, so that the passes over them stay in the cache


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
    if scores.shape[2] > MANY_CLASSES:
        hits, predicted, broken = _by_greatest(scores, labels)
    else:
        truth = (
            one_hot(labels, scores.shape[2]).t().to(torch.float32).contiguous()
        )  # counts to 2^24 are exact
        size = max(1, AT_ONCE // max(1, len(labels)))
        starts = range(0, max(len(by_class), 1), size)
        found = [_by_passes(by_class[start : start + size], truth) for start in starts]
        hits, predicted, broken = (torch.cat(column) for column in zip(*found, strict=True))
    return Outcomes(hits, predicted, _loss_sums(by_class, labels, loss), broken)


def _by_passes(by_class: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hits, predicted and broken of scores [V, C, n], truth [C, n].

    A class up to which the greatest score is the greatest of all, but not before it, is predicted.
    """
    versions, classes, _ = by_class.shape
    so_far = [by_class[:, 0]]
    for number in range(1, classes):
        so_far.append(torch.maximum(so_far[-1], by_class[:, number]))
    highest = so_far[-1]  # NaN where any score is
    hits = torch.empty((versions, classes), dtype=torch.float32, device=by_class.device)
    up_to = torch.zeros((versions, classes + 1), dtype=torch.float32, device=by_class.device)
    before = torch.zeros_like(highest, dtype=torch.float32)
    reached = torch.empty_like(before)
    for number, greatest in enumerate(so_far):
        torch.eq(greatest, highest, out=reached)  # ones and zeros: no booleans to be converted
        up_to[:, number + 1] = reached.sum(1)
        torch.mv(reached, truth[number], out=hits[:, number])
        if number:
            hits[:, number] -= before @ truth[number]
        before, reached = reached, before
    return hits.to(torch.int64), up_to.diff(dim=1).to(torch.int64), highest.amax(1).isnan()


def _by_greatest(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same of scores [V, n, C]."""
    versions, _, classes = scores.shape
    highest, predicted = scores.max(2)
    first = torch.arange(versions, device=labels.device)[:, None] * classes
    cells, size = predicted + first, versions * classes
    hits = cells[predicted == labels].bincount(minlength=size).view(versions, classes)
    return hits, cells.flatten().bincount(minlength=size).view(versions, classes), highest.isnan().any(1)


def _loss_sums(by_class: Tensor, labels: Tensor, wanted: bool) -> Tensor:
    versions, _, samples = by_class.shape
    if not wanted:
        return torch.full((versions,), torch.nan, dtype=torch.float64, device=by_class.device)
    losses = cross_entropy(by_class, labels.expand(versions, samples), reduction="none")
    return losses.sum(1, dtype=torch.float64)
