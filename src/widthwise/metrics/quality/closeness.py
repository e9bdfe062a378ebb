"""Closeness: how near a network's outputs stay to those of the float network; no targets are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import log_softmax, logsigmoid, mse_loss

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import per_class
from widthwise.metrics.quality.differences import Differences
from widthwise.metrics.quality.losses import Losses
from widthwise.metrics.quality.margins import margins
from widthwise.metrics.quality.places import pieces
from widthwise.metrics.quality.regression import number_feed
from widthwise.metrics.quality.summed import Combine, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Of, Options, Then, float_outputs
from widthwise.metrics.quality.tasks import CLOSENESS, own_metrics
from widthwise.metrics.quality.torchmetrics import accumulators

LINKS: Mapping[str, tuple[Of, Then]] = {"sqnr": ("square", "decibels"), "mse": ("square", "sum")}
MOST_DB = 200.0  # of a ratio: float32 tells no more apart


@dataclass(frozen=True)
class SameClass:
    """Answers that are classes, right where the float network gives the same: of scores, or one output."""

    metrics: Sequence[str] = ("agreement",)

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Those of scores [V, n, C] for the float network's class; of one output, of 0 and it."""
        if prod(targets.shape[1:]) > 1:
            return margins(outputs, targets.argmax(-1))
        found = outputs.reshape(len(outputs), len(targets))
        scores = torch.stack([torch.zeros_like(found), found], -1)
        return margins(scores, (targets.reshape(len(targets)) > 0).long())

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """The same for each; None where a sample has several answers."""
        if targets.ndim > 2 and prod(targets.shape[1:]) > 1:
            return None
        return np.full(len(targets), 1 / len(targets))


@dataclass(frozen=True)
class Closeness:
    """Targets are the float network's own outputs for the same inputs, of any shape.

    Of scores the answer is the class with the highest one: over the last axis, or over the first of images
    [n, C, H, W]; of one output a sample, whether it is above 0. `agreement` and `kl` are of those answers and
    of their probabilities, and say nothing of outputs that are no scores. Targets of the data are left aside.
    """

    name: str = CLOSENESS
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(CLOSENESS))
    better: Sequence[str] = ("sqnr", "agreement")
    answers: tuple[Answers, ...] = field(
        default_factory=lambda: (
            SameClass(),
            Differences(LINKS),
            Losses("agreement", _other_answers, sign=-1),
            Losses("cosine", _turned, sign=-1),
            Losses("kl", _divergences),
        )
    )

    def targets(
        self, inputs: Mapping[str, Tensor], given: Tensor | None, run: Callable[[], Tensor]
    ) -> Tensor:
        """What the float network gives."""
        return run()

    def outputs(self, result: Any) -> Tensor:
        """The outputs; raises UserError where they are no floats."""
        return float_outputs(result, "closeness takes outputs that are floats")

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError where the float network's outputs have another shape, or are no numbers."""
        if tuple(targets.shape[1:]) != outputs or not targets.is_floating_point():
            raise UserError(
                f"{about.title}: the float network gives {list(targets.shape)}, this one "
                f"{[len(targets), *outputs]}; closeness compares outputs of one shape"
            )
        if not bool(targets.isfinite().all()):
            raise UserError(f"{about.title}: the float network gives outputs that are no finite numbers")

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """Mean squared difference."""
        return mse_loss(outputs, targets)

    def middle(self, values: Tensor) -> Tensor:
        """The mean of each output, [outputs]."""
        return values.double().reshape(len(values), -1).mean(0)

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Mean squared difference from the teacher's."""
        return mse_loss(outputs, teacher)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SummedTally:
        """Powers of outputs and of errors, of all and of the worst sample, and torchmetrics' own of both."""
        for name in metrics:
            if per_class(name):
                raise UserError(f"{name}: is not for closeness; allowed: {', '.join(self.metrics)}")
        others = accumulators(metrics, number_feed(prod(outputs)), options)
        return SummedTally(rows, Nearness(outputs), self.metrics, others)


def _other_answers(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of the answers of a sample that aren't the float network's, [V, n]."""
    near = Nearness(tuple(targets.shape[1:]))
    return 1 - near.of_samples(outputs, targets)["same"] / near.answers


def _turned(outputs: Tensor, targets: Tensor) -> Tensor:
    """What a sample's cosine lacks of 1, [V, n]."""
    return 1 - Nearness(tuple(targets.shape[1:])).of_samples(outputs, targets)["cosine"]


def _divergences(outputs: Tensor, targets: Tensor) -> Tensor:
    """Kullback-Leibler divergences [V, n]."""
    return Nearness(tuple(targets.shape[1:])).of_samples(outputs, targets)["kl"]


@dataclass(frozen=True, eq=False)
class Nearness:
    """Of outputs of this shape for one sample: what of them differs from the float network's."""

    shape: tuple[int, ...]

    @property
    def classes(self) -> int:
        """How many scores an answer is found from; 1: by the sign."""
        axis = 0 if len(self.shape) == 3 else -1
        return self.shape[axis] if self.shape else 1

    @property
    def answers(self) -> int:
        """Answers of a sample."""
        return prod(self.shape) // max(self.classes, 1)

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the samples, and what is worst of one."""
        summed: tuple[int, Combine] = (1, "sum")
        return {
            **dict.fromkeys(("signal", "noise", "cosine", "kl", "same", "seen"), summed),
            **dict.fromkeys(("worst_sqnr", "worst_cosine"), (1, "least")),
            **dict.fromkeys(("worst_kl", "worst_mse"), (1, "greatest")),
        }

    def fresh(self) -> Nearness:
        """Itself: blocks change nothing."""
        return self

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of outputs [V, n, ...], the float network's being [n, ...]."""
        each = self.of_samples(outputs, targets)
        ratio, mse = decibels(each["signal"], each["noise"]), each["noise"] / prod(self.shape)
        return {
            **{name: values.sum(1, keepdim=True) for name, values in each.items()},
            "seen": torch.tensor([len(targets)]),
            "worst_sqnr": ratio.amin(1, keepdim=True),
            "worst_cosine": each["cosine"].amin(1, keepdim=True),
            "worst_kl": each["kl"].amax(1, keepdim=True),
            "worst_mse": mse.amax(1, keepdim=True),
        }

    def of_samples(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Figures [V, n] of each sample, in float64: some samples at a time."""
        parts = list(pieces(len(targets), 8 * len(outputs) * prod(self.shape)))
        found = [self._of_samples(outputs[:, part], targets[part]) for part in parts]
        return {name: torch.cat([one[name] for one in found], 1) for name in found[0]}

    def _of_samples(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The same of a few samples."""
        wanted = targets.double().reshape(len(targets), -1)
        given = outputs.double().reshape(*outputs.shape[:2], -1)
        signal, power = wanted.square().sum(-1), given.square().sum(-1)
        product = (given * wanted).sum(-1)
        scale = (signal * power).sqrt()
        same, kl = self._answers(outputs.double(), targets.double())
        return {
            "signal": signal.expand(power.shape),
            "noise": (given - wanted).square().sum(-1),
            # two that are nothing are alike, one that is nothing has no direction
            "cosine": torch.where(scale > 0, (product / scale).clamp(-1, 1), (signal == power).double()),
            "same": same,
            "kl": kl,
        }

    def _answers(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """How many answers are the same, and the mean divergence of their probabilities, [V, n]."""
        if self.classes == 1:
            given, wanted = (x.reshape(*x.shape[: x.ndim - len(self.shape)], -1) for x in (outputs, targets))
            same = (given > 0) == (wanted > 0)
            there = wanted.sigmoid()
            yes, no = (logsigmoid(s * wanted) - logsigmoid(s * given) for s in (1, -1))
            divergence = there * yes + (1 - there) * no
        else:
            given, wanted = (x.movedim(-3, -1) if len(self.shape) == 3 else x for x in (outputs, targets))
            same = given.argmax(-1) == wanted.argmax(-1)
            known = log_softmax(wanted, -1)
            divergence = (known.exp() * (known - log_softmax(given, -1))).sum(-1)
            same, divergence = (x.reshape(*outputs.shape[:2], -1) for x in (same, divergence))
        return same.sum(-1).double(), divergence.mean(-1).clamp_min(0)

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]."""
        seen = found["seen"]
        signal, noise = (torch.from_numpy(found[name]) for name in ("signal", "noise"))
        own = {
            "sqnr": decibels(signal, noise).numpy(),
            "agreement": found["same"] / (seen * self.answers),
            "cosine": found["cosine"] / seen,
            "kl": found["kl"] / seen,
            "mse": found["noise"] / (seen * prod(self.shape)),
        }
        return {name: (own[name] if name in own else found[name])[:, 0] for name in metrics}

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If what is left were the float network's own outputs."""
        more = left[:, None]
        total = found["seen"] + more
        own = {
            "agreement": (found["same"] + more * self.answers) / (total * self.answers),
            "cosine": (found["cosine"] + more) / total,
            "kl": found["kl"] / total,
            "mse": found["noise"] / (total * prod(self.shape)),
            **{name: found[name] for name in ("worst_sqnr", "worst_cosine", "worst_kl", "worst_mse")},
        }
        return {name: own[name][:, 0] for name in metrics if name in own}


def decibels(signal: Tensor, noise: Tensor) -> Tensor:
    """10 log10 of a ratio of powers, from -200 to 200; without noise 200."""
    ratio = 10 * (signal.log10() - noise.log10())
    return torch.where(noise == 0, MOST_DB, ratio.clamp(-MOST_DB, MOST_DB))
