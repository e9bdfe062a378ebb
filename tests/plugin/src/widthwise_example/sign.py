"""A task: one score a sample, whose sign should be that of its target, -1 or 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.catalogue import Metric
from widthwise.metrics.quality.task import LossSettings, Options

AGREEMENT = Metric("agreement", "quality", "maximize", "share", "share of samples on the right side", 0, 1)
LOGISTIC = Metric("logistic", "quality", "minimize", "nats", "mean log(1 + exp(-target score))", 0)


class Sign:
    """Judges by the share of right signs, and by the logistic loss."""

    name = "sign"
    metrics: Mapping[str, Metric] = {"agreement": AGREEMENT, "logistic": LOGISTIC}
    better = ("agreement", "logistic")
    answers = None

    def outputs(self, result: Any) -> Tensor:
        """The scores [n] in what the network returns, [n, 1] or [n]."""
        if not isinstance(result, Tensor):
            raise UserError(f"the network returns a {type(result).__name__}; let it return scores [n, 1]")
        return result.squeeze(-1) if result.ndim == 2 else result

    def check(self, targets: Tensor, outputs: tuple[int, ...], about: DataFacts) -> None:
        """Targets are -1 and 1, one for each score."""
        if outputs or targets.ndim != 1 or not bool((targets.abs() == 1).all()):
            found = f"its targets are {list(targets.shape)}"
            raise UserError(found, where=about.title, advice="give -1 or 1 for each score")

    def loss(self, outputs: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The logistic loss."""
        return softplus(-targets * outputs).mean()

    def distance(self, outputs: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
        """The squared difference of the scores."""
        return mse_loss(outputs, teacher)

    def tally(
        self,
        rows: int,
        metrics: Sequence[str],
        about: DataFacts,
        outputs: tuple[int, ...],
        options: Options | None = None,
    ) -> SignTally:
        """Two sums for each candidate."""
        return SignTally(rows)


class SignTally:
    """How many signs were right, and the sum of the losses, of R candidates."""

    row_bytes = 16

    def __init__(self, rows: int) -> None:
        self.failures: dict[int, str] = {}
        self.right, self.loss, self.seen = np.zeros(rows), np.zeros(rows), np.zeros(rows)

    def fresh(self, rows: int) -> SignTally:
        """An empty one for so many candidates."""
        return SignTally(rows)

    def add(self, rows: IntArray, outputs: Tensor, versions: IntArray, targets: Tensor) -> None:
        """Takes in scores [V, n] for targets [n]: those of rows [R'], each with its version."""
        agreed = targets * outputs.double()
        right, loss = (agreed > 0).sum(dim=1), softplus(-agreed).sum(dim=1)
        self.right[rows] += right.cpu().numpy()[versions]
        self.loss[rows] += loss.cpu().numpy()[versions]
        self.seen[rows] += len(targets)
        broken = agreed.isnan().any(dim=1).cpu().numpy()[versions]
        self.failures.update(dict.fromkeys(rows[broken].tolist(), "the scores hold NaN"))

    def values(self, metrics: Sequence[str], rows: IntArray | None = None) -> dict[str, FloatArray]:
        """Shares and means [R]; NaN for failures, and for rows that aren't asked for."""
        seen = self.seen.copy()
        if rows is not None:
            seen[~np.isin(np.arange(len(seen)), rows)] = np.nan
        seen[list(self.failures)] = np.nan
        found = {"agreement": self.right / seen, "logistic": self.loss / seen}
        return {name: found[name] for name in metrics}

    def best_possible(self, metrics: Sequence[str], total: int) -> dict[str, FloatArray]:
        """As if all that is left were right, and without a loss."""
        best = {"agreement": (self.right + total - self.seen) / total, "logistic": self.loss / total}
        return {name: best[name] for name in metrics}
