"""Where training begins: numbers far from their targets begin at the mean and the spread of these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.metrics.quality.task import BeginsAtMean, Task
from widthwise.training.scoring import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLES = 1024  # of the training part, by which mean and spread are known
CLOSE = 1e-3  # of the spread, by which outputs may miss them
FAR = 4.0  # times the targets' variance: outputs with a greater error are worse than any constant guess
WIDE = 10.0  # times as spread as the outputs: targets that steps of a usual size would not reach


def begin_near_targets(
    model: nn.Module, data: Data, task: Task, *, output: str | int | None = None, device: str = "cpu"
) -> bool:
    """Moves and stretches what the last layer gives, to mean and spread of the targets; whether it did.

    Random weights begin near 0 and give numbers of about 1, from which steps of a usual size would not reach
    prices or years in the epochs of a search. Only where the task's outputs are such numbers and are far off,
    and where the outputs follow from a layer that can do it: else the network is as it was.
    """
    import torch

    if not isinstance(task, BeginsAtMean):
        return False

    def seen() -> Seen:
        with torch.random.fork_rng(devices=[]):
            batches = _some(part(data, "train"))
            outputs, targets = predict(model, batches, device=device, task=task, output=output)
        return Seen.of(task, outputs, targets)

    first = seen()
    if not first.is_far:
        return False
    for layer in reversed(list(model.modules())):
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not (isinstance(weight, torch.nn.Parameter) and isinstance(bias, torch.nn.Parameter)):
            continue
        if bias.shape != first.middle.shape or len(weight) != len(bias) or weight.ndim < 2:
            continue
        before = weight.detach().clone(), bias.detach().clone()
        scale = first.stretch.to(bias)
        with torch.no_grad():
            weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
            bias.copy_(scale * (bias - first.middle.to(bias)) + first.target_middle.to(bias))
        if seen().is_there(first.stretch):
            return True
        with torch.no_grad():
            weight.copy_(before[0]), bias.copy_(before[1])
    return False


@dataclass(frozen=True, eq=False)
class Seen:
    """Mean and spread of outputs and of targets, and the mean squared error, of each output [k]."""

    middle: Tensor
    spread: Tensor
    target_middle: Tensor
    target_spread: Tensor
    error: Tensor

    @classmethod
    def of(cls, task: BeginsAtMean, outputs: Tensor, targets: Tensor) -> Seen:
        """Of outputs and targets [n, ...]."""
        middle, target_middle = task.middle(outputs), task.middle(targets)

        def spread(values: Tensor) -> Tensor:
            return (task.middle(values.double() ** 2) - task.middle(values) ** 2).clamp_min(0).sqrt()

        error = task.middle((outputs.double() - targets.reshape(outputs.shape).double()) ** 2)
        return cls(middle, spread(outputs), target_middle, spread(targets), error)

    @property
    def is_far(self) -> bool:
        """Whether some output is worse than a constant guess, all being numbers."""
        import torch

        found = torch.stack([self.middle, self.spread, self.target_middle, self.target_spread, self.error])
        return bool(found.isfinite().all()) and bool((self.error > FAR * self.target_spread**2).any())

    @property
    def stretch(self) -> Tensor:
        """By how much outputs are to be stretched: 1 where targets are hardly more spread."""
        import torch

        ratio = self.target_spread / self.spread
        return torch.where((self.spread > 0) & (ratio > WIDE), ratio, torch.ones_like(ratio))

    def is_there(self, stretch: Tensor) -> bool:
        """Whether outputs are now at the mean of the targets, and as spread where they were stretched."""
        within = CLOSE * (self.target_spread + self.target_middle.abs())
        there = (self.middle - self.target_middle).abs() <= within
        wide = (stretch == 1) | ((self.spread - self.target_spread).abs() <= within)
        return bool((there & wide).all())


def _some(loader: Iterable[Any]) -> Iterator[Any]:
    """The first batches, of up to so many samples together."""
    from widthwise.data.batches import given_targets, has_targets
    from widthwise.data.blocks import DataBlock

    seen = 0
    for batch in loader:
        yield batch
        known = None if isinstance(batch, DataBlock) or not has_targets(batch) else given_targets(batch)
        seen += len(batch) if isinstance(batch, DataBlock) else 0 if known is None else len(known)
        if seen >= SAMPLES:
            return
