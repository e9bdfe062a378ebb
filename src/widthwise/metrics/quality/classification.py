"""Classification: one of several classes for each sample, from scores before softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import METRICS, Metric, find_metric
from widthwise.metrics.quality.class_scores import class_feed
from widthwise.metrics.quality.confusion import QUALITY, ClassCounts, metrics_of_counts
from widthwise.metrics.quality.margins import ClassAnswers
from widthwise.metrics.quality.outcomes import count_outcomes
from widthwise.metrics.quality.task import Answers, LossSettings, Options
from widthwise.metrics.quality.torchmetrics import Accumulated, TorchmetricsAccumulator, accumulator

BROKEN = "the scores hold NaN"


@dataclass(frozen=True)
class Classification:
    """Outputs are scores [n, C] before softmax; targets are labels [n].

    Quality follows from confusion matrices and from the cross entropy in nats; distillation is by the
    Kullback-Leibler divergence of softened scores (Hinton et al. 2015).
    """

    name: str = "classification"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: {name: METRICS[name] for name in QUALITY})
    better: Sequence[str] = ("accuracy", "loss")
    usual: Sequence[str] = ("accuracy", "loss", "precision", "recall", "f1")  # where nobody names others
    answers: Answers | None = field(default_factory=ClassAnswers)

    def outputs(self, result: Any) -> Tensor:
        """The scores; raises UserError where they are no tensor."""
        if not isinstance(result, Tensor):
            kind = type(result).__name__
            raise UserError(f"the network returns a {kind}; let it return scores [n, classes]")
        return result

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that are no labels, or that the network has no outputs for."""
        if targets.ndim != 1 or targets.is_floating_point() or targets.is_complex():
            kind = str(targets.dtype).removeprefix("torch.")
            given = "" if about.sample is None else f" for x of shape {[len(targets), *about.sample]}"
            raise UserError(
                f"{about.title}: its labels are {kind} of shape {list(targets.shape)}{given}; give whole "
                "numbers [n], the class of each sample"
            )
        classes = _class_count(outputs, len(targets))
        if about.classes is not None and classes < about.classes:
            raise UserError(
                f"{about.title}: has {about.classes} classes but the network only {classes} outputs; widen "
                "its last layer or take other data"
            )
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= classes:
            raise UserError(
                f"label {low if low < 0 else high} is out of range; the network has {classes} outputs, so "
                f"labels run from 0 to {classes - 1}"
            )

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean cross entropy, weighted by class where the settings say so."""
        given = settings.class_weights
        weight = None if given is None else outputs.new_tensor(given)
        return cross_entropy(outputs, targets, weight=weight, label_smoothing=settings.label_smoothing)

    def weighed_classes(self, outputs: tuple[int, ...]) -> int:
        """How many classes weights are for."""
        return _class_count(outputs)

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence of the scores from the teacher's, both softened."""
        wanted = (teacher / temperature).softmax(dim=1)
        found = log_softmax(outputs / temperature, dim=1)
        return temperature**2 * kl_div(found, wanted, reduction="batchmean")

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> ClassTally:
        """Counts of each class, loss sums where asked, and accumulators for metrics of torchmetrics."""
        classes = _class_count(outputs)
        feed = class_feed(classes)
        given = options or {}
        others = {
            name: accumulator(name, feed, given.get(name)) for name in metrics if find_metric(name).source
        }
        return ClassTally(rows, classes, loss="loss" in metrics, others=others, class_names=about.class_names)


def _class_count(outputs: tuple[int, ...], samples: int | str = "n") -> int:
    """How many classes scores of this shape for one sample are for; raises UserError where it is no row."""
    if len(outputs) != 1:
        shape = ", ".join(map(str, (samples, *outputs)))
        raise UserError(
            f"the network returns scores of shape [{shape}]; they must be [n, classes], one row for each "
            "sample"
        )
    return outputs[0]


class ClassTally:
    """Counts of each class and loss sums of R candidates, and what is of torchmetrics."""

    def __init__(
        self,
        rows: int,
        classes: int,
        *,
        loss: bool,
        others: Mapping[str, TorchmetricsAccumulator],
        class_names: Sequence[str],
    ) -> None:
        self.failures: dict[int, str] = {}
        self.counts = ClassCounts.none(rows, classes)
        self.loss_sum = np.zeros(rows)
        self.seen = np.zeros(rows, dtype=np.int64)  # samples added
        self._loss, self._others, self._class_names = loss, others, class_names
        self._accumulated = Accumulated(rows, others, self.failures)

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes: its counts, here and of the versions at hand."""
        return 48 * self._classes + self._accumulated.row_bytes

    @property
    def _classes(self) -> int:
        return int(self.counts.hits.shape[1])

    def fresh(self, rows: int) -> ClassTally:
        """An empty one of the same figures, for so many candidates."""
        return ClassTally(
            rows,
            self._classes,
            loss=self._loss,
            others=self._others,
            class_names=self._class_names,
        )

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in scores [V, n, C] for labels [n]: those of the rows [R'], each with its version."""
        found = count_outcomes(outputs, targets, loss=self._loss)
        self.counts.hits[rows] += found.hits.cpu().numpy()[versions]
        self.counts.predicted[rows] += found.predicted.cpu().numpy()[versions]
        self.counts.present[rows] += targets.bincount(minlength=self._classes).cpu().numpy()
        if self._loss:
            self.loss_sum[rows] += found.loss_sum.cpu().numpy()[versions]
        self.seen[rows] += len(targets)
        broken = found.broken.cpu().numpy()
        if broken.any():
            self.failures |= dict.fromkeys(rows[broken[versions]].tolist(), BROKEN)
        self._accumulated.add(rows, outputs, versions, targets)

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R]; NaN for candidates that failed, and that are not in `rows`."""
        own = [name for name in metrics if name not in self._others]
        found = metrics_of_counts(own, self.counts, self.loss_sum, class_names=self._class_names)
        if self._others:
            found |= self._accumulated.values([name for name in metrics if name in self._others], rows)
        if rows is not None or self.failures:
            left_out = np.full(len(self.seen), rows is not None)
            if rows is not None:
                left_out[rows] = False
            left_out[list(self.failures)] = True
            for values in found.values():
                values[left_out] = np.nan
        return {name: found[name] for name in metrics}

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """If all samples still to come were right, without loss; of other figures the best that there is."""
        correct = self.counts.hits.sum(axis=1)
        known = {"accuracy": (correct + total - self.seen) / total, "loss": self.loss_sum / total}
        others = self._accumulated.best_possible([name for name in metrics if name in self._others], total)
        shares = {name: np.ones(len(self.seen)) for name in metrics}
        return {name: {**shares, **others, **known}[name] for name in metrics}
