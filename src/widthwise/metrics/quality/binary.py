"""Binary: for each sample whether something is there, or which of several labels it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as entropy_of_logits

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import class_index, per_class
from widthwise.metrics.quality.class_scores import as_logits
from widthwise.metrics.quality.losses import Losses, one_each
from widthwise.metrics.quality.margins import margins
from widthwise.metrics.quality.ranking import RANKINGS, mean_of_known
from widthwise.metrics.quality.summed import Combine, Rankings, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Options, float_outputs
from widthwise.metrics.quality.tasks import BINARY, own_metrics
from widthwise.metrics.quality.torchmetrics import Adapt, Feed, accumulators


@dataclass(frozen=True)
class YesOrNo:
    """Answers of one label: right where the logit is above 0 exactly for what is there."""

    metrics: Sequence[str] = ("accuracy", "recall")

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Those of two classes with the scores 0 and the logit, [V, n]."""
        logits = outputs.reshape(len(outputs), len(targets))
        scores = torch.stack([torch.zeros_like(logits), logits], -1)
        return margins(scores, targets.reshape(len(targets)).long())

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """What each sample counts in one of `metrics` if it is right, [S]; None of several labels."""
        there = targets.cpu().numpy().astype(np.float64).reshape(len(targets), -1)
        if there.shape[1] != 1:
            return None
        counted = np.ones(len(there)) if metric == "accuracy" else there[:, 0]
        shares: FloatArray = counted / max(counted.sum(), 1)
        return shares


def _entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean entropies [V, n] over the labels of a sample, of logits [V, n, ...]."""
    logits = outputs.double().reshape(*outputs.shape[:2], -1)
    wanted = targets.double().reshape(len(targets), -1).expand(logits.shape)
    return entropy_of_logits(logits, wanted, reduction="none").mean(-1)


def _wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of the labels of a sample that are wrong, [V, n]."""
    taken = outputs.reshape(*outputs.shape[:2], -1) > 0
    return (taken != targets.reshape(len(targets), -1).bool()).double().mean(-1)


def _if_several(targets: Tensor) -> Tensor | None:
    """All samples alike, where each has several labels."""
    return one_each(targets) if targets[:1].numel() > 1 else None


@dataclass(frozen=True)
class Binary:
    """Outputs are logits [n], [n, 1] or [n, labels]; targets 0 or 1 for each.

    A label is taken to be there where its logit is above 0, its probability above 0.5. Figures are means over
    the labels; `f1[2]` is of one.
    """

    name: str = BINARY
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(BINARY))
    better: Sequence[str] = ("accuracy", "loss")
    answers: tuple[Answers, ...] = field(
        default_factory=lambda: (
            YesOrNo(),
            Losses("loss", _entropies),
            Losses("accuracy", _wrong, _if_several, sign=-1),
        )
    )

    def outputs(self, result: Any) -> Tensor:
        """The logits; raises UserError where they are no floats."""
        return float_outputs(result, "let it return logits [n] or [n, labels], floats")

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that aren't 0 or 1, one for each logit."""
        given = targets.shape[1:] or (1,)
        if len(outputs) > 1 or tuple(given) != (outputs or (1,)):
            kind = str(targets.dtype).removeprefix("torch.")
            raise UserError(
                f"{about.title}: its targets are {kind} of shape {list(targets.shape)}, the network gives "
                f"{[len(targets), *outputs]}; binary takes 0 or 1 for each logit"
            )
        wrong = ~((targets == 0) | (targets == 1))
        if bool(wrong.any()):
            raise UserError(
                f"{about.title}: its targets hold {targets[wrong][0].item():g}; binary takes 0 or 1"
            )

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean binary cross entropy; smoothing moves a target towards a half."""
        wanted = targets.reshape(outputs.shape).to(outputs.dtype)
        smoothed = wanted * (1 - settings.label_smoothing) + settings.label_smoothing / 2
        if settings.class_weights is None:
            return entropy_of_logits(outputs, smoothed)
        weight = outputs.new_tensor(settings.class_weights)[wanted.long()]
        return entropy_of_logits(outputs, smoothed, weight=weight, reduction="sum") / weight.sum()

    def weighed_classes(self, outputs: tuple[int, ...]) -> int:
        """Two, 0 and 1, the same for each label."""
        del outputs
        return 2

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence of each label's probability from the teacher's, both softened."""
        wanted = (teacher / temperature).sigmoid()
        least = entropy_of_logits(teacher / temperature, wanted)  # the teacher's own entropy
        return temperature**2 * (entropy_of_logits(outputs / temperature, wanted) - least)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SummedTally:
        """Counts of each label, sums of entropies, scores where they are ranked, torchmetrics' own."""
        count, names = int(np.prod(outputs)), about.target_names
        if count == 1 and not names:
            names = about.class_names[1:2]
        for name in metrics:
            if per_class(name):
                class_index(name, count, names)
        others = accumulators(metrics, label_feed(count), options)
        ranked = [name for name in metrics if name.partition("[")[0] in RANKINGS]
        figures = Counts(count, tuple(names))
        rankings = Rankings(ranked, figures.by_label, figures.together) if ranked else None
        return SummedTally(rows, figures, self.metrics, others, rankings=rankings, about=about)


@dataclass(frozen=True, eq=False)
class Counts:
    """Of each label: right answers, hits (there and taken to be), taken, there; and entropies."""

    labels: int
    names: Sequence[str] = ()

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the samples."""
        each: tuple[int, Combine] = (self.labels, "sum")
        return {
            "right": each,
            "hits": each,
            "taken": each,
            "there": each,
            "entropy": each,
            "seen": (1, "sum"),
        }

    def fresh(self) -> Counts:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of logits [V, n, ...] for targets [n, ...]."""
        logits, there = self.by_label(outputs, targets)
        taken = logits > 0
        wanted = there.to(logits.dtype).expand(logits.shape)
        return {
            "right": (taken == there.bool()).sum(1),
            "hits": (taken & there.bool()).sum(1),
            "taken": taken.sum(1),
            "there": there.sum(0),
            "entropy": entropy_of_logits(logits, wanted, reduction="none").sum(1, dtype=torch.float64),
            "seen": torch.tensor([len(there)]),
        }

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]; a ratio 0/0 is 0."""
        hits, taken, there = found["hits"], found["taken"], found["there"]
        each = {
            "accuracy": found["right"] / found["seen"],
            "loss": found["entropy"] / found["seen"],
            "precision": _ratio(hits, taken),
            "recall": _ratio(hits, there),
            "f1": _ratio(2 * hits, taken + there),
        }
        return {name: self.together(name, each) for name in metrics}

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If all that is left were right, without loss."""
        total = found["seen"] + left[:, None]
        each = {"accuracy": (found["right"] + left[:, None]) / total, "loss": found["entropy"] / total}
        return {name: self.together(name, each) for name in metrics if name in each}

    def by_label(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [V, n, labels] of outputs [V, n, ...], and targets as [n, labels]."""
        shape = (len(targets), self.labels)
        return outputs.reshape(len(outputs), *shape), targets.reshape(shape).long()

    def together(self, name: str, each: Mapping[str, FloatArray]) -> FloatArray:
        """A metric [R] from those of each label [R, labels]."""
        asked = per_class(name)
        if asked is None:
            return mean_of_known(each[name])
        return each[asked[0]][:, class_index(name, self.labels, self.names)]


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator != 0)


def label_feed(labels: int) -> Feed:
    """How metrics of torchmetrics are fed: with logits [n] and 0 or 1 [n], of several labels [n, labels]."""
    there = (torch.arange(4)[:, None] + torch.arange(labels)) % 2
    there = there[:, 0] if labels == 1 else there
    shape = () if labels == 1 else (labels,)

    def take(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        wanted = (len(targets), *shape)
        return outputs.reshape(wanted), targets.reshape(wanted).long()

    return Feed(
        8.0 * there - 4,
        there,
        "a logit a sample" if labels == 1 else f"{labels} logits a sample",
        fixed={} if labels == 1 else {"num_labels": labels},
        filled={"task": "binary" if labels == 1 else "multilabel", "num_classes": 2},
        adapt=_adapter,
        domains=("classification",),
        take=take,
    )


def _adapter(name: str, metric: Any, place: str) -> Adapt:
    """A metric of several classes takes two scores a sample, 0 and the logit (their softmax: its sigmoid)."""
    if not type(metric).__name__.startswith("Multiclass"):
        return as_logits
    return lambda logits: as_logits(torch.stack([torch.zeros_like(logits), logits], -1))
