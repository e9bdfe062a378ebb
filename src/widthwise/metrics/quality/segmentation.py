"""Segmentation: a class for each place of a sample, as for the pixels of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.targets import IGNORED
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import class_index, per_class
from widthwise.metrics.quality.class_scores import class_feed
from widthwise.metrics.quality.losses import Losses
from widthwise.metrics.quality.outcomes import count_outcomes
from widthwise.metrics.quality.places import (
    VOID,
    check_labels,
    distance_of_places,
    labels_of,
    loss_of_places,
    pieces,
    without_void,
)
from widthwise.metrics.quality.summed import Combine, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Options, float_outputs
from widthwise.metrics.quality.tasks import SEGMENTATION, own_metrics
from widthwise.metrics.quality.torchmetrics import accumulators


@dataclass(frozen=True)
class Segmentation:
    """Outputs are scores [n, C, ...] before softmax; targets are labels [n, ...].

    One logit a place, [n, 1, ...], stands for two classes, whose scores are 0 and the logit: their cross
    entropy is the binary one. Labels may be [n, 1, ...] too, and floats, if these are whole.
    Places with the label -100, or 255 where there are at most 255 classes, are left out of everything.
    Figures are over all places of all samples together: a class's intersection over union is one number.
    """

    name: str = SEGMENTATION
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(SEGMENTATION))
    better: Sequence[str] = ("mean_iou", "pixel_accuracy")
    answers: tuple[Answers, ...] = field(
        default_factory=lambda: (
            Losses("loss", _losses, _that_count),
            Losses("pixel_accuracy", _wrong, _that_count, sign=-1),
        )
    )

    def outputs(self, result: Any) -> Tensor:
        """The scores, of one logit a place two; raises UserError where they are no floats."""
        found = float_outputs(result, "let it return scores [n, classes, ...], floats")
        one = found.ndim > 2 and found.shape[1] == 1
        return torch.cat([torch.zeros_like(found), found], 1) if one else found

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that aren't a label for each place."""
        if len(outputs) < 2:
            raise UserError(
                f"{about.title}: the network gives {['n', *outputs]}; segmentation takes [n, classes, ...]"
            )
        said = "segmentation takes a whole number for each place, [n, ...] for scores [n, classes, ...]"
        if tuple(targets.shape[1:]) == outputs[:-1]:
            said += "; of classes on the last axis let the network give x.movedim(-1, 1)"
        check_labels(labels_of(targets, outputs[1:]), outputs[1:], outputs[0], about, said)

    def doubt(self, targets: Tensor, outputs: tuple[int, ...]) -> str | None:
        """Of two classes: whether what is there is written 255, which is left out elsewhere."""
        if outputs[0] != 2 or bool((targets == 1).any()):
            return None
        if not bool((targets == VOID).any()):
            return ""
        return f"labels are 0 and {VOID} alone, and {VOID} is left out; number the classes 0 and 1"

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean cross entropy of the places that count."""
        return loss_of_places(outputs, labels_of(targets, tuple(outputs.shape[2:])), settings)

    def weighed_classes(self, outputs: tuple[int, ...]) -> int:
        """How many classes weights are for."""
        return outputs[0]

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Kullback-Leibler divergence of a place's scores from the teacher's, both softened."""
        rows, wanted = (x.movedim(1, -1).flatten(0, -2) for x in (outputs, teacher))
        return distance_of_places(rows, wanted, temperature)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SummedTally:
        """Counts of each class, loss sums where asked, and torchmetrics' own of the places that count."""
        for name in metrics:
            if per_class(name):
                class_index(name, outputs[0], about.class_names)
        figures = Places(outputs[0], prod(outputs[1:]), about.class_names, loss="loss" in metrics)
        others = accumulators(metrics, class_feed(outputs[0], rows_that_count), options)
        return SummedTally(rows, figures, self.metrics, others)


@dataclass(frozen=True, eq=False)
class Places:
    """Of each class: hits, all taken for it, all of it; and the losses, of the places that count."""

    classes: int
    places: int
    names: Sequence[str] = ()
    loss: bool = True

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the places."""
        each: tuple[int, Combine] = (self.classes, "sum")
        return {"hits": each, "taken": each, "present": each, "loss": (1, "sum"), "broken": (1, "sum")}

    def fresh(self) -> Places:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of scores [V, n, C, ...] for labels [n, ...], a few samples at a time."""
        versions, samples, classes = outputs.shape[:3]
        scores = outputs.reshape(versions, samples, classes, -1)
        given = labels_of(targets, tuple(outputs.shape[3:]))
        labels = without_void(given, classes).reshape(samples, -1)
        each, one = (torch.zeros((versions, width), dtype=torch.float64) for width in (classes, 1))
        found = {"hits": each, "taken": each.clone(), "loss": one, "broken": one.clone()}
        for part in pieces(samples, versions * classes * scores.shape[3]):
            counted = labels[part] != IGNORED
            if not bool(counted.any()):
                continue
            by_place = scores[:, part].transpose(2, 3)[:, counted]  # [V, places that count, C]
            outcomes = count_outcomes(by_place, labels[part][counted], loss=self.loss)
            found["hits"] += outcomes.hits.cpu()
            found["taken"] += outcomes.predicted.cpu()
            found["loss"] += outcomes.loss_sum.cpu()[:, None]
            found["broken"] += outcomes.broken.cpu()[:, None]
        present = labels[labels != IGNORED].bincount(minlength=classes).cpu()
        return {**found, "present": present}

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]; the mean is over the classes that are present or taken to be."""
        hits, union = found["hits"], found["taken"] + found["present"] - found["hits"]
        iou = np.divide(hits, union, out=np.zeros_like(hits), where=union > 0)
        counted = found["present"].sum(axis=1)
        whole = {
            "pixel_accuracy": hits.sum(axis=1) / counted,
            "mean_iou": iou.sum(axis=1) / (union > 0).sum(axis=1),
            "loss": found["loss"][:, 0] / counted,
        }
        return {
            name: whole[name] if name in whole else self._of_class(name, {"iou": iou}) for name in metrics
        }

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If all places that are left were right, without loss, and counted."""
        more = left * self.places
        total = found["present"].sum(axis=1) + more
        known = {
            "pixel_accuracy": (found["hits"].sum(axis=1) + more) / total,
            "loss": found["loss"][:, 0] / total,
        }
        return {name: known[name] for name in metrics if name in known}

    def _of_class(self, name: str, each: Mapping[str, FloatArray]) -> FloatArray:
        """A metric [R] of one class, from those of each [R, C]."""
        asked = per_class(name)
        assert asked is not None  # the others are of all classes
        return each[asked[0]][:, class_index(name, self.classes, self.names)]


def _that_count(targets: Tensor) -> Tensor:
    """How many places of each sample count, [n]; 255 is a class only where there are labels above it."""
    greatest = int(targets.max()) if targets.numel() else 0
    return (without_void(targets, greatest) != IGNORED).flatten(1).sum(1)


def _losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropies [V, n] over the places of a sample that count, of scores [V, n, C, ...]."""
    labels = without_void(labels_of(targets, tuple(outputs.shape[3:])), outputs.shape[2])
    counted = (labels != IGNORED).flatten(1).sum(1).clamp(min=1)
    found = [cross_entropy(scores, labels, ignore_index=IGNORED, reduction="none") for scores in outputs]
    return torch.stack([losses.flatten(1).sum(1, dtype=torch.float64) / counted for losses in found])


def _wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of the places of a sample that are wrong, [V, n], of those that count."""
    labels = without_void(labels_of(targets, tuple(outputs.shape[3:])), outputs.shape[2])
    counts = labels != IGNORED
    wrong = (outputs.argmax(2) != labels) & counts
    return wrong.flatten(2).sum(2, dtype=torch.float64) / counts.flatten(1).sum(1).clamp(min=1)


def rows_that_count(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Scores [places, C] of outputs [n, C, ...], and their labels [places]: of the places that count."""
    labels = without_void(labels_of(targets, tuple(outputs.shape[2:])), outputs.shape[1])
    counted = labels != IGNORED
    return outputs.movedim(1, -1)[counted], labels[counted]
