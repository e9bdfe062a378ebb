"""What is added up of one network's outputs, block by block, for its quality in detail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch

from widthwise.data.targets import IGNORED
from widthwise.metrics.quality.binary import Binary
from widthwise.metrics.quality.classification import Classification
from widthwise.metrics.quality.closeness import Closeness, Nearness, decibels
from widthwise.metrics.quality.losses import Losses
from widthwise.metrics.quality.regression import Errors, Regression
from widthwise.metrics.quality.segmentation import Segmentation, rows_that_count
from widthwise.metrics.quality.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.core.arrays import FloatArray, IntArray
    from widthwise.metrics.quality.task import Task

MOST_RESIDUALS = 2**20  # values that a histogram is made of

Places = Callable[["Tensor", "Tensor"], tuple["Tensor", "Tensor"]]
EachSample = Callable[["Tensor", "Tensor"], "Tensor"]


@dataclass(eq=False)
class Classes:
    """Of each class: hits, all taken for it, all of it; and how often one is taken for another."""

    hits: IntArray
    taken: IntArray
    present: IntArray
    wrong: Counter[tuple[int, int]] = field(default_factory=Counter)

    @classmethod
    def none(cls, classes: int) -> Classes:
        """Before any sample."""
        hits, taken, present = np.zeros((3, classes), dtype=np.int64)
        return cls(hits, taken, present)

    def add(self, found: Tensor, labels: Tensor) -> None:
        """Classes found [m] for labels [m]."""
        classes, right = len(self.hits), found == labels
        for into, values in ((self.hits, labels[right]), (self.taken, found), (self.present, labels)):
            into[:] += values.bincount(minlength=classes).numpy()
        codes, counts = torch.unique(labels[~right] * classes + found[~right], return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            self.wrong[divmod(code, classes)] += count

    def matrix(self) -> IntArray:
        """How many of each class, a row, are taken for which, a column."""
        found = np.diag(self.hits)
        for (label, taken), count in self.wrong.items():
            found[label, taken] += count
        return found


@dataclass(eq=False)
class Labels:
    """Of each label whether it is there: rightly taken to be, taken to be, there."""

    hits: IntArray
    taken: IntArray
    present: IntArray

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Logits [n, labels] for targets [n, labels]."""
        taken, there = logits > 0, targets.bool()
        self.hits += (taken & there).sum(0).numpy()
        self.taken += taken.sum(0).numpy()
        self.present += there.sum(0).numpy()


@dataclass(eq=False)
class Numbers:
    """Of each output its sums of errors, and the first errors themselves."""

    errors: Errors
    sums: dict[str, FloatArray] = field(default_factory=dict)
    bias: FloatArray | float = 0.0
    residuals: list[FloatArray] = field(default_factory=list)
    cut: bool = False

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Outputs [n, ...] for targets [n, ...]."""
        for name, values in self.errors.statistics(outputs[None], targets).items():
            value = values.double().reshape(1, -1).numpy()
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        found = (
            outputs.double().reshape(len(outputs), -1) - targets.double().reshape(len(outputs), -1)
        ).numpy()
        self.bias = self.bias + found.sum(0)
        room = MOST_RESIDUALS - sum(map(len, self.residuals))
        self.cut |= found.size > room
        self.residuals.append(found.ravel()[:room])

    def values(self) -> dict[str, FloatArray]:
        """The figures of each output, [outputs]."""
        count = len(self.bias) if isinstance(self.bias, np.ndarray) else 0
        names = ("mse", "rmse", "mae", "r2")
        asked = [f"{name}[{output}]" for output in range(count) for name in names]
        found = self.errors.values(asked, self.sums)
        each = {
            name: np.array([float(found[f"{name}[{output}]"][0]) for output in range(count)])
            for name in names
        }
        return {**each, "mean error": np.asarray(self.bias) / self.sums["seen"][0]}


@dataclass(eq=False)
class Collector:
    """One network's outputs as they are added; `add` takes those of one candidate.

    figure: what single samples are ranked by, `each` gives it. places: makes of outputs and targets what
    `part` adds. overlaps: whether intersections over union are told of classes.
    """

    figure: str
    each: EachSample
    worst_is: str  # "greatest" or "least"
    part: Classes | Labels | Numbers | None = None
    places: Places | None = None
    overlaps: bool = False
    failures: dict[int, str] = field(default_factory=dict)
    samples: list[FloatArray] = field(default_factory=list)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Outputs [V, n, ...] for targets [n, ...]: those of the only row, with its version."""
        del rows
        found, wanted = outputs[int(versions[0])].detach().cpu(), targets.detach().cpu()
        if not bool(found.isfinite().all()):
            self.failures[0] = "its outputs aren't all finite numbers"
            return
        self.samples.append(self.each(found, wanted).double().numpy())
        if self.part is not None:
            self.part.add(*((found, wanted) if self.places is None else self.places(found, wanted)))

    @property
    def of_samples(self) -> FloatArray:
        """What samples are ranked by, [n]; NaN for those that are left out of everything."""
        return np.concatenate([np.empty(0), *self.samples])


def collector_of(task: Task, shape: tuple[int, ...]) -> Collector | None:
    """An empty one for outputs of this shape for one sample; None for a task that isn't ours."""
    if isinstance(task, Closeness):
        near = Nearness(shape)
        return Collector("sqnr", lambda y, t: _ratios(near, y, t), "least")
    if isinstance(task, Regression):
        return Collector("rmse", _root_errors, "greatest", Numbers(Errors(prod(shape))))
    if isinstance(task, Binary) and prod(shape) > 1:
        counts = (np.zeros(prod(shape), dtype=np.int64) for _ in range(3))
        return Collector("loss", _loss_of(task), "greatest", Labels(*counts), _labels)
    places: dict[type, Places] = {
        Binary: _yes_or_no,
        Classification: _scores,
        Segmentation: lambda y, t: _taken(*rows_that_count(y, t)),
        Tokens: _tokens,
    }
    if type(task) not in places:
        return None
    classes = 2 if isinstance(task, Binary) else shape[-1 if isinstance(task, Tokens) else 0]
    part = Classes.none(classes)
    overlaps = isinstance(task, Segmentation)
    return Collector("loss", _loss_of(task), "greatest", part, places[type(task)], overlaps)


def _loss_of(task: Task) -> EachSample:
    """Each sample's loss [n] as the task has it; NaN where nothing of it counts."""
    answers = task.answers if isinstance(task.answers, tuple) else (task.answers,)
    loss = next(one for one in answers if isinstance(one, Losses) and one.metric == "loss")

    def each(outputs: Tensor, targets: Tensor) -> Tensor:
        counts = loss.counts(targets)
        found = loss.of(outputs[None], targets)[0].double()
        return found if counts is None else found.masked_fill(counts == 0, torch.nan)

    return each


def _root_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each sample the root of the mean squared error of its outputs, [n]."""
    off = outputs.double().reshape(len(targets), -1) - targets.double().reshape(len(targets), -1)
    return off.square().mean(1).sqrt()


def _ratios(near: Nearness, outputs: Tensor, targets: Tensor) -> Tensor:
    """Of each sample signal to noise in dB, [n]."""
    found = near.of_samples(outputs[None], targets)
    return decibels(found["signal"], found["noise"])[0]


def _scores(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    labels = targets.argmax(1) if targets.ndim == 2 else targets.long()
    counted = labels != IGNORED
    return _taken(outputs[counted], labels[counted])


def _tokens(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    counted = targets != IGNORED
    return outputs.argmax(-1)[counted], targets[counted].long()


def _taken(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return scores.argmax(-1), labels.long()


def _yes_or_no(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return (outputs.reshape(-1) > 0).long(), targets.reshape(-1).long()


def _labels(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return outputs.reshape(len(targets), -1), targets.reshape(len(targets), -1)
