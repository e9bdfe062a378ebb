"""What each sample takes from a mean over samples: a loss, or the share of its answers that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from widthwise.core.arrays import FloatArray
from widthwise.metrics.quality.task import Of, Then


def one_each(targets: Tensor) -> Tensor:
    """All samples count alike, [n]."""
    return targets.new_ones(len(targets))


@dataclass(frozen=True)
class Losses:
    """Roots of what single samples lose, whose squares' mean is the figure, or what it lacks of a constant.

    Roots, because losses grow about as the squares of errors do. of: outputs [V, n, ...] and targets [n, ...]
    to what is lost, [V, n], from 0. counts: how much each sample counts, [n], for targets [n, ...]; None
    where the metric doesn't follow so. sign: -1 where more is better. then: what becomes of the mean.
    """

    metric: str
    of: Callable[[Tensor, Tensor], Tensor]
    counts: Callable[[Tensor], Tensor | None] = one_each
    sign: int = 1
    then: Then = "sum"

    @property
    def metrics(self) -> tuple[str, ...]:
        """The one."""
        return (self.metric,)

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The roots for outputs [V, n, ...] and targets [n, ...], [V, n, 1]."""
        return self.of(outputs, targets).clamp_min(0).sqrt()[..., None]

    def width(self, outputs: tuple[int, ...]) -> int:
        """One value a sample."""
        del outputs
        return 1

    def shares(self, metric: str, targets: Tensor) -> FloatArray | None:
        """What each counts in the mean, [S, 1] for targets [S, ...]; None where none does."""
        counts = self.counts(targets)
        if counts is None or not float(counts.sum()):
            return None
        found: FloatArray = (self.sign * counts.double() / counts.double().sum()).cpu().numpy()
        return found[:, None]

    def link(self, metric: str) -> tuple[Of, Then]:
        """The squares."""
        return "square", self.then
