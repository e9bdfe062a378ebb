"""Classification: one of several classes for each sample, from scores before softmax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.targets import IGNORED
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import class_index, per_class
from widthwise.metrics.quality.class_extras import Extras, highest
from widthwise.metrics.quality.class_scores import class_feed
from widthwise.metrics.quality.confusion import ClassCounts, metrics_of_counts
from widthwise.metrics.quality.losses import Losses, one_each
from widthwise.metrics.quality.margins import ClassAnswers
from widthwise.metrics.quality.outcomes import count_outcomes
from widthwise.metrics.quality.places import distance_of_places, loss_of_nothing
from widthwise.metrics.quality.ranking import RANKINGS
from widthwise.metrics.quality.summed import NOTHING_COUNTS, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Options
from widthwise.metrics.quality.tasks import CLASSIFICATION, own_metrics
from widthwise.metrics.quality.torchmetrics import Accumulated, TorchmetricsAccumulator, accumulators

BROKEN = "the scores hold NaN"


@dataclass(frozen=True)
class Classification:
    """Outputs are scores [n, C] before softmax; targets are labels [n], of which -100 are left out.

    One-hot and soft labels [n, C] will do: figures are of their greatest, loss and training of all.
    Quality follows from confusion matrices and from the cross entropy in nats; distillation is by the
    Kullback-Leibler divergence of softened scores (Hinton et al. 2015).
    """

    name: str = "classification"
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(CLASSIFICATION))
    better: Sequence[str] = ("accuracy", "loss")
    usual: Sequence[str] = ("accuracy", "loss", "precision", "recall", "f1")  # where nobody names others
    answers: tuple[Answers, ...] = field(
        default_factory=lambda: (ClassAnswers(), Losses("loss", _losses, _that_count))
    )

    def outputs(self, result: Any) -> Tensor:
        """The scores; raises UserError where they are no tensor."""
        if not isinstance(result, Tensor):
            kind = type(result).__name__
            raise UserError(f"the network returns a {kind}; let it return scores [n, classes]")
        return result

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that are no labels, or that the network has no outputs for."""
        classes = _class_count(outputs, len(targets))
        if _are_shares(targets, classes):
            return
        if targets.ndim != 1 or targets.is_floating_point() or targets.is_complex():
            kind = str(targets.dtype).removeprefix("torch.")
            given = "" if about.sample is None else f" for x of shape {[len(targets), *about.sample]}"
            raise UserError(
                f"{about.title}: its labels are {kind} of shape {list(targets.shape)}{given}; give whole "
                "numbers [n], the class of each sample"
            )
        if about.classes is not None and classes < about.classes:
            raise UserError(
                f"{about.title}: has {about.classes} classes but the network only {classes} outputs; widen "
                "its last layer or take other data"
            )
        counted = targets[targets != IGNORED]
        low, high = (int(counted.min()), int(counted.max())) if len(counted) else (0, 0)
        if low < 0 or high >= classes:
            raise UserError(
                f"label {low if low < 0 else high} is out of range; the network has {classes} outputs, so "
                f"labels run from 0 to {classes - 1}"
            )

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean cross entropy, weighted by class where the settings say so."""
        given = settings.class_weights
        weight = None if given is None else outputs.new_tensor(given)
        if targets.ndim == 2:
            targets = targets.to(outputs.dtype)
        elif bool((targets == IGNORED).all()):
            return loss_of_nothing(outputs)
        return cross_entropy(outputs, targets, weight=weight, label_smoothing=settings.label_smoothing)

    def weighed_classes(self, outputs: tuple[int, ...]) -> int:
        """How many classes weights are for."""
        return _class_count(outputs)

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence of the scores from the teacher's, both softened."""
        return distance_of_places(outputs, teacher, temperature)

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
        others = accumulators(metrics, class_feed(classes), options)
        extras = _extras(rows, classes, [name for name in metrics if name not in others], about, self.metrics)
        names = about.class_names
        return ClassTally(
            rows, classes, loss="loss" in metrics, others=others, class_names=names, extras=extras
        )


def _are_shares(targets: Tensor, classes: int) -> bool:
    """Whether targets [n, C] are shares of the classes: of each sample from 0, and 1 together."""
    if targets.ndim != 2 or targets.shape[1] != classes or targets.is_complex():
        return False
    shares = targets.double()
    return bool((shares >= 0).all() and ((shares.sum(1) - 1).abs() < 1e-3).all())


def _extras(
    rows: int, classes: int, metrics: Sequence[str], about: DataFacts, known: Mapping[str, Metric]
) -> SummedTally | None:
    """What is added up for those of the metrics that no confusion matrix holds; None where there are none."""
    tops = [top for name in metrics if (top := highest(name)) is not None]
    ranked = [name for name in metrics if name.partition("[")[0] in RANKINGS]
    for name in ranked:
        if per_class(name):
            class_index(name, classes, about.class_names)
    binned = "calibration_error" in metrics
    if not (tops or ranked or binned):
        return None
    figures = Extras(classes, about.class_names, tuple(dict.fromkeys(tops)), binned)
    return SummedTally(rows, figures, known, {}, rankings=figures.rankings(ranked), about=about)


def _class_count(outputs: tuple[int, ...], samples: int | str = "n") -> int:
    """How many classes scores of this shape for one sample are for; raises UserError where it is no row."""
    if len(outputs) != 1:
        shape = ", ".join(map(str, (samples, *outputs)))
        raise UserError(
            f"the network returns scores of shape [{shape}]; they must be [n, classes], one row for each "
            "sample"
        )
    return outputs[0]


def _is_extra(name: str) -> bool:
    base = name.partition("[")[0]
    return base in RANKINGS or base in ("top_accuracy", "calibration_error")


def _that_count(labels: Tensor) -> Tensor:
    """How much each sample with labels [n], or shares [n, C], counts in the loss, [n]."""
    return one_each(labels) if labels.ndim == 2 else (labels != IGNORED).long()


def _losses(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropies [V, n] of scores [V, n, C] for labels [n] or shares [n, C]."""
    likely = log_softmax(outputs.double(), -1)
    if labels.ndim == 2:
        return -(labels.double() * likely).sum(-1)
    return -likely.gather(-1, labels.clamp(min=0).expand(likely.shape[:2])[..., None])[..., 0]


def _loss_sums(outputs: Tensor, shares: Tensor) -> Tensor:
    """Cross entropies of scores [V, n, C] for shares of the classes [n, C], summed, [V]."""
    return -(shares.double() * log_softmax(outputs.double(), -1)).sum((1, 2))


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
        extras: SummedTally | None = None,
    ) -> None:
        self.failures: dict[int, str] = {}
        self.counts = ClassCounts.none(rows, classes)
        self.loss_sum = np.zeros(rows)
        self.seen = np.zeros(rows, dtype=np.int64)  # samples added
        self._loss, self._others, self._class_names = loss, others, class_names
        self._accumulated = Accumulated(rows, others, self.failures)
        self._extras = None if extras is None else extras.fresh(rows)

    @property
    def row_bytes(self) -> int:
        """About how much memory a candidate takes: its counts, here and of the versions at hand."""
        extras = 0 if self._extras is None else self._extras.row_bytes
        return 48 * self._classes + self._accumulated.row_bytes + extras

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
            extras=self._extras,
        )

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in scores [V, n, C] for labels [n]: those of the rows [R'], each with its version."""
        self.seen[rows] += len(targets)
        shares = targets if targets.ndim == 2 else None
        targets = targets if shares is None else targets.argmax(1)
        if shares is None and bool((left_out := targets == IGNORED).any()):
            outputs, targets = outputs[:, ~left_out], targets[~left_out]
            if not len(targets):
                return
        found = count_outcomes(outputs, targets, loss=self._loss and shares is None)
        self.counts.hits[rows] += found.hits.cpu().numpy()[versions]
        self.counts.predicted[rows] += found.predicted.cpu().numpy()[versions]
        self.counts.present[rows] += targets.bincount(minlength=self._classes).cpu().numpy()
        if self._loss:
            sums = found.loss_sum if shares is None else _loss_sums(outputs, shares)
            self.loss_sum[rows] += sums.cpu().numpy()[versions]
        broken = found.broken.cpu().numpy()
        if broken.any():
            self.failures |= dict.fromkeys(rows[broken[versions]].tolist(), BROKEN)
        self._accumulated.add(rows, outputs, versions, targets)
        if self._extras is not None:
            self._extras.add(rows, outputs, versions, targets)

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """The figures [R]; NaN for candidates that failed, and that are not in `rows`."""
        extras = [name for name in metrics if _is_extra(name)]
        own = [name for name in metrics if name not in self._others and name not in extras]
        found = metrics_of_counts(own, self.counts, self.loss_sum, class_names=self._class_names)
        if self._others:
            found |= self._accumulated.values([name for name in metrics if name in self._others], rows)
        if self._extras is not None and extras:
            found |= self._extras.values(extras, rows)
        nothing = np.flatnonzero((self.seen > 0) & (self.counts.samples == 0))
        self.failures.update(dict.fromkeys(nothing.tolist(), NOTHING_COUNTS))
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
        left = total - self.seen
        counted = np.maximum(self.counts.samples + left, 1)  # those that are left out are not
        known = {"accuracy": (correct + left) / counted, "loss": self.loss_sum / counted}
        if self._extras is not None:
            known |= self._extras.best_possible([name for name in metrics if _is_extra(name)], total)
        others = self._accumulated.best_possible([name for name in metrics if name in self._others], total)
        shares = {name: np.ones(len(self.seen)) for name in metrics}
        return {name: {**shares, **others, **known}[name] for name in metrics}
