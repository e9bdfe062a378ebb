"""Where training from random weights begins: outputs that are numbers begin at the mean of their targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.metrics.quality.task import BeginsAtMean, Task
from widthwise.training.scoring import predict

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLES = 1024  # of the training part, by which the mean is known
CLOSE = 1e-3  # of the step, by which outputs may miss it


def begin_at_mean(
    model: nn.Module, data: Data, task: Task, *, output: str | int | None = None, device: str = "cpu"
) -> bool:
    """Moves the bias of the last layer such that outputs begin at the mean target; whether it did.

    Random weights begin near 0, from which steps of a usual size would not reach a price or an age in the
    epochs of a search. Only where the task's outputs are such numbers, and a bias is found that moves them
    alone; else the network is as it was.
    """
    import torch

    if not isinstance(task, BeginsAtMean):
        return False
    biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]

    def missing() -> Tensor:
        with torch.random.fork_rng(devices=[]):
            batches = _some(part(data, "train"))
            outputs, targets = predict(model, batches, device=device, task=task, output=output)
        return task.middle(targets) - task.middle(outputs)

    step = missing()
    found = next((bias for bias in reversed(biases) if bias.shape == step.shape), None)
    if found is None or not bool(step.isfinite().all()) or not bool((step != 0).any()):
        return False
    before = found.detach().clone()
    with torch.no_grad():
        found.add_(step.to(found))
    if bool((missing().abs() <= CLOSE * step.abs().max()).all()):
        return True
    with torch.no_grad():
        found.copy_(before)
    return False


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
