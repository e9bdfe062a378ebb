"""What a network predicts over a loader, and how well it does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.metrics.quality.tasks import task_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.data.blocks import DataBlock
    from widthwise.metrics.quality.outputs import Output
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
    loader: Iterable[Any],
    *,
    device: str = "cpu",
    task: Task | str | None = None,
    output: Output | str | int | None = None,
) -> tuple[Tensor, Tensor]:
    """Outputs [samples, ...] in eval mode and targets [samples, ...] over the whole loader, on the CPU.

    output: which of several that the network returns.
    """
    import torch

    found = [
        (outputs.cpu(), block.targets.cpu())
        for outputs, block, _ in _judged(model, loader, device, task, DataFacts(), output)
    ]
    if not found:
        raise nothing_to_judge_on()
    outputs, targets = (torch.cat(each) for each in zip(*found, strict=True))
    return outputs, targets


def score(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: str = "cpu",
    task: Task | str | None = None,
    about: DataFacts | None = None,
    output: Output | str | int | None = None,
) -> Score:
    """The task's figures over the whole loader; raises UserError for targets that they can't be had for.

    output: which of several that the network returns is judged.
    """
    facts = about or DataFacts()
    tally: Tally | None = None
    samples = 0
    for outputs, block, judged in _judged(model, loader, device, task, facts, output):
        shape = tuple(outputs.shape[1:])
        judged.check(block.targets, shape, facts)
        if tally is None:
            seen = facts.seen(next(iter(block.inputs.values())), block.targets)
            tally = judged.tally(1, judged.better, seen, shape)
        tally_one(tally, outputs, block.targets)
        samples += len(block)
    if tally is None:
        raise nothing_to_judge_on()
    return Score({name: float(values[0]) for name, values in tally.values(judged.better).items()}, samples)


def _judged(
    model: nn.Module,
    loader: Iterable[Any],
    device: str,
    task: Task | str | None,
    about: DataFacts,
    output: Output | str | int | None,
) -> Iterator[tuple[Tensor, DataBlock, Task]]:
    """The outputs of the network in eval mode for each batch of the loader, the batch, and what judges it."""
    from widthwise.metrics.quality.outputs import Output, find_output
    from widthwise.network.calling import takes_of
    from widthwise.network.reading import batches_of, called

    takes, found = takes_of(model), output if isinstance(output, Output) else None
    judged = None if task is None else task_of(task)
    with _judging(model):
        for block in batches_of(model, loader, device=device, where=about.title):
            result = called(model, block, takes)
            if found is None or not found.is_in(result):
                said = None if isinstance(output, Output) else output
                found = find_output(result, block.targets, judged, about, said)
                judged = found.task
            yield found(result), block, found.task


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


def nothing_to_judge_on() -> UserError:
    """What is said of a loader without samples."""
    return UserError("no samples to judge the network on; give the split a share of the data")
