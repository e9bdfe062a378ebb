"""What a network predicts over a loader, and how well it does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.tasks import CLASSIFICATION, task_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.metrics.quality.task import Tally, Task


@dataclass(frozen=True)
class Score:
    """The figures by which a task tells the better network, over all samples of a loader."""

    values: Mapping[str, float]
    samples: int

    @property
    def loss(self) -> float:
        """Mean loss; NaN where the task has none."""
        return self.values.get("loss", math.nan)

    @property
    def accuracy(self) -> float:
        """Share of right answers; NaN where the task has none."""
        return self.values.get("accuracy", math.nan)


def predict(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    device: str = "cpu",
    task: Task | str = CLASSIFICATION,
) -> tuple[Tensor, Tensor]:
    """Outputs [samples, ...] in eval mode and targets [samples, ...] over the whole loader, on the CPU."""
    import torch

    judged = task_of(task)
    with _judging(model):
        batches = [(judged.outputs(model(x.to(device))).cpu(), y.cpu()) for x, y in loader]
    if not batches:
        raise _nothing()
    outputs, targets = (torch.cat(each) for each in zip(*batches, strict=True))
    return outputs, targets


def score(
    model: nn.Module,
    loader: Iterable[tuple[Tensor, Tensor]],
    *,
    device: str = "cpu",
    task: Task | str = CLASSIFICATION,
    about: DataFacts | None = None,
) -> Score:
    """The task's figures over the whole loader; raises UserError for targets that they can't be had for."""
    judged, facts = task_of(task), about or DataFacts()
    tally: Tally | None = None
    samples = 0
    with _judging(model):
        for x, y in loader:
            outputs = judged.outputs(model(x.to(device)))
            shape = tuple(outputs.shape[1:])
            judged.check(y, shape, facts)
            if tally is None:
                tally = judged.tally(1, judged.better, facts.seen(x, y), shape)
            tally_one(tally, outputs, y.to(device))
            samples += len(y)
    if tally is None:
        raise _nothing()
    return Score({name: float(values[0]) for name, values in tally.values(judged.better).items()}, samples)


def tally_one(tally: Tally, outputs: Tensor, targets: Tensor) -> None:
    """Adds the outputs [n, ...] of the only candidate of a tally."""
    import numpy as np

    first = np.zeros(1, dtype=np.int64)
    tally.add(first, outputs[None], first, targets)


@contextmanager
def _judging(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in eval mode and no gradients are kept."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _nothing() -> UserError:
    return UserError("no samples to judge the network on; give the split a share of the data")
