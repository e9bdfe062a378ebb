"""Regression: numbers that a network's outputs should be near to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.per_class import class_index, per_class
from widthwise.metrics.quality.differences import Differences
from widthwise.metrics.quality.summed import Combine, SummedTally
from widthwise.metrics.quality.task import Answers, LossSettings, Of, Options, Then, float_outputs
from widthwise.metrics.quality.tasks import REGRESSION, own_metrics
from widthwise.metrics.quality.torchmetrics import Feed, accumulators

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse_loss, "mae": l1_loss, "huber": huber_loss}


LINKS: Mapping[str, tuple[Of, Then]] = {
    "mse": ("square", "sum"),
    "rmse": ("square", "root"),
    "mae": ("absolute", "sum"),
    "r2": ("square", "sum"),
}


@dataclass(frozen=True)
class Regression:
    """Outputs [n], [n, 1] or [n, ...] for targets of that shape; axes of length 1 don't count.

    Training minimises the mean squared error, or what the setting `loss` names: mse, mae or huber (delta 1).
    Of several outputs a metric is the mean over them (as scikit-learn's uniform average); `mse[2]` is of one.
    """

    name: str = REGRESSION
    metrics: Mapping[str, Metric] = field(default_factory=lambda: own_metrics(REGRESSION))
    better: Sequence[str] = ("mse",)
    losses: Sequence[str] = tuple(LOSSES)
    answers: Answers | None = field(default_factory=lambda: Differences(LINKS))

    def outputs(self, result: Any) -> Tensor:
        """The numbers; raises UserError where they are none."""
        return float_outputs(result, "let it return numbers [n, ...], floats")

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Raises UserError for targets that aren't finite numbers, one for each output."""
        if targets.is_complex() or _sizes(targets.shape[1:]) != _sizes(outputs):
            kind = str(targets.dtype).removeprefix("torch.")
            raise UserError(
                f"{about.title}: its targets are {kind} of shape {list(targets.shape)}, the network gives "
                f"{[len(targets), *outputs]}; regression takes a number for each output"
            )
        finite = targets.isfinite().flatten(1).all(1) if targets.ndim > 1 else targets.isfinite()
        if not bool(finite.all()):
            row = int((~finite).nonzero()[0])
            raise UserError(
                f"{about.title}: the target of sample {row} (counted from 0) of a batch is "
                f"{targets[row].tolist()}; remove such samples or fill them"
            )

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The mean of the loss that the settings name, by default the squared error."""
        return LOSSES.get(settings.loss, mse_loss)(outputs, targets.reshape(outputs.shape).to(outputs))

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
        """Sums of errors of each output, and accumulators for metrics of torchmetrics."""
        count = int(np.prod(outputs))
        for name in metrics:
            if per_class(name):
                class_index(name, count, about.target_names)
        others = accumulators(metrics, number_feed(count), options)
        return SummedTally(rows, Errors(count, tuple(about.target_names)), self.metrics, others)


@dataclass(eq=False)
class Errors:
    """Of each output: squared and absolute errors, and the targets' moments about `origin`.

    origin [outputs]: the mean target of the first block, near which squares lose no digits.
    """

    outputs: int
    names: Sequence[str] = ()
    origin: Tensor | None = None

    @property
    def columns(self) -> Mapping[str, tuple[int, Combine]]:
        """Sums over the samples."""
        each: tuple[int, Combine] = (self.outputs, "sum")
        return {"squared": each, "absolute": each, "first": each, "second": each, "seen": (1, "sum")}

    def fresh(self) -> Errors:
        """One without an origin yet."""
        return Errors(self.outputs, self.names)

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Of outputs [V, n, ...] for targets [n, ...]."""
        wanted = targets.double().reshape(len(targets), self.outputs)
        errors = outputs.double().reshape(len(outputs), len(targets), self.outputs) - wanted
        self.origin = wanted.mean(0) if self.origin is None else self.origin.to(wanted)
        about = wanted - self.origin
        return {
            "squared": errors.square().sum(1),
            "absolute": errors.abs().sum(1),
            "first": about.sum(0),
            "second": about.square().sum(0),
            "seen": torch.tensor([len(targets)]),
        }

    def values(self, metrics: Sequence[str], found: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        """The metrics [R]; r2 of targets that are all the same is 1 without errors, else 0."""
        spread = found["second"] - found["first"] ** 2 / found["seen"]
        share = np.divide(found["squared"], spread, out=np.ones_like(spread), where=spread > 0)
        share[(spread <= 0) & (found["squared"] == 0)] = 0.0
        mse = found["squared"] / found["seen"]
        each = {"mse": mse, "rmse": np.sqrt(mse), "mae": found["absolute"] / found["seen"], "r2": 1 - share}
        return {name: self._together(name, each) for name in metrics}

    def hopes(
        self, metrics: Sequence[str], found: Mapping[str, FloatArray], left: FloatArray
    ) -> Mapping[str, FloatArray]:
        """If there were no errors in what is left."""
        total = found["seen"] + left[:, None]
        mse = found["squared"] / total
        each = {"mse": mse, "rmse": np.sqrt(mse), "mae": found["absolute"] / total}
        return {name: self._together(name, each) for name in metrics if name.partition("[")[0] in each}

    def _together(self, name: str, each: Mapping[str, FloatArray]) -> FloatArray:
        """A metric [R] from those of each output [R, outputs]."""
        asked = per_class(name)
        if asked is None:
            mean: FloatArray = each[name].mean(axis=1)
            return mean
        return each[asked[0]][:, class_index(name, self.outputs, self.names)]


def _sizes(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]


def number_feed(outputs: int) -> Feed:
    """How metrics of torchmetrics are fed: with numbers [n], of several outputs [n, outputs]."""
    x = torch.linspace(-1, 1, 16)
    x = x if outputs == 1 else x[:, None] * torch.arange(1, outputs + 1)
    shape = () if outputs == 1 else (outputs,)

    def take(found: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        wanted = (len(targets), *shape)
        return found.reshape(wanted), targets.reshape(wanted).to(found.dtype)

    return Feed(
        x,
        x.sin(),
        "numbers" if outputs == 1 else f"{outputs} numbers a sample",
        fixed={},
        filled={},
        adapt=lambda *_: lambda numbers: numbers,
        domains=("regression", "image"),
        take=take,
    )
