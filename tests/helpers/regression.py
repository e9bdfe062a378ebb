"""A task in one file as a plug-in would add it: numbers to be near to; and data with a network for such."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric, find_metric
from widthwise.metrics.quality.task import LossSettings, Options
from widthwise.metrics.quality.torchmetrics import Accumulated, Feed, accumulator


class Nearness:
    """Outputs [n] or [n, 1], targets float [n]; judged by the mean squared and the mean absolute error."""

    name = "nearness"
    metrics: Mapping[str, Metric] = {
        "mse": Metric("mse", "quality", "minimize", "", "mean squared error"),
        "mae": Metric("mae", "quality", "minimize", "", "mean absolute error"),
    }
    better = ("mse",)
    answers = None

    def outputs(self, result: Any) -> Tensor:
        return result.squeeze(-1) if result.ndim > 1 else result

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        if not targets.is_floating_point() or tuple(targets.shape[1:]) != outputs:
            raise UserError(f"{about.title}: its targets are {list(targets.shape)}; give a number for each")

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        return mse_loss(outputs, targets)

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        return mse_loss(outputs, teacher)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> ErrorTally:
        x, y = torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16).sin()
        feed = Feed(x, y, "numbers", fixed={}, filled={}, adapt=lambda name, metric, place: lambda x: x)
        others = {
            name: accumulator(name, feed, (options or {}).get(name))
            for name in metrics
            if name not in self.metrics and find_metric(name).source
        }
        return ErrorTally(rows, Accumulated(rows, others))


class ErrorTally:
    """Sums of squared and of absolute errors, and what is of torchmetrics."""

    def __init__(self, rows: int, others: Accumulated) -> None:
        self.others, self.failures = others, others.failures
        self.sums = {"mse": np.zeros(rows), "mae": np.zeros(rows)}
        self.seen = np.zeros(rows)

    @property
    def row_bytes(self) -> int:
        return 24 + self.others.row_bytes

    def fresh(self, rows: int) -> ErrorTally:
        return ErrorTally(rows, self.others.fresh(rows))

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        errors = (outputs - targets).double()  # [V, n]
        self.sums["mse"][rows] += (errors**2).sum(1).cpu().numpy()[versions]
        self.sums["mae"][rows] += errors.abs().sum(1).cpu().numpy()[versions]
        self.seen[rows] += len(targets)
        broken = errors.isnan().any(1).cpu().numpy()[versions]
        self.failures.update(dict.fromkeys(rows[broken].tolist(), "the outputs hold NaN"))
        self.others.add(rows, outputs, versions, targets)

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        wanted = np.isin(np.arange(len(self.seen)), range(len(self.seen)) if rows is None else rows)
        wanted[list(self.failures)] = False
        seen = np.where(wanted, self.seen, np.nan)
        own = {name: sums / seen for name, sums in self.sums.items()}
        return {
            name: own[name] if name in own else self.others.values([name], rows)[name] for name in metrics
        }

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        own = {name: sums / total for name, sums in self.sums.items()}
        others = self.others.best_possible([name for name in metrics if name not in own], total)
        return {name: {**own, **others}[name] for name in metrics}


class Waves:
    """Sums of sines of eight numbers, in batches; the same in all parts."""

    note = "waves"

    def __init__(self, samples: int = 300, outputs: int | None = None, above: float | None = None) -> None:
        """above: targets are whether they are above that."""
        self.x = torch.randn(samples, 8, generator=torch.Generator().manual_seed(0))
        self.y = self.x.sin().sum(1) if outputs is None else self.x.sin()[:, :outputs]
        self.y = self.y if above is None else (self.y > above).long()

    def train_dataloader(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.x.split(64), self.y.split(64), strict=True))

    val_dataloader = test_dataloader = train_dataloader


def network(outputs: int = 1) -> nn.Sequential:
    """Eight numbers to one, or to more."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, outputs))


class Echoes(Waves):
    """The targets are what `network` itself gives, for a task that compares with it."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        with torch.no_grad():
            self.y = network(outputs)(self.x)
