"""What holds for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from widthwise.metrics.quality.follows import figure, told_of
from widthwise.metrics.quality.task import Options, Tally, Task, ranked
from widthwise.testing.holds import holds
from widthwise.training.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from widthwise.core.arrays import FloatArray
    from widthwise.data.facts import DataFacts

PARTS = (1, 3, 1000)  # samples of a block


def check_task(
    task: Task, outputs: Tensor, targets: Tensor, about: DataFacts, *, options: Options | None = None
) -> None:
    """A task's figures don't depend on how the data is cut, nor on which candidates go together.

    outputs: of one network, [n, ...], as `task.outputs` gives them; targets: [n, ...]; n at least 4.
    """
    names = list(task.metrics)
    holds(task.name, "a task has a name")
    holds(all(task.metrics[name].name == name for name in names), "metrics are found under their names")
    holds(task.better, "better names a metric by which one epoch beats another")
    holds(set(task.better) <= set(names), "better names metrics of the task")
    shape = tuple(outputs.shape[1:])
    task.check(targets, shape, about)
    loss = task.loss(outputs.clone().requires_grad_(), targets, Settings())
    holds(loss.ndim == 0 and loss.requires_grad, "the loss is a scalar with a gradient")
    near, far = (float(task.distance(outputs, teacher)) for teacher in (outputs, outputs.flip(0)))
    holds(near <= far, "outputs are no further from themselves than from others")
    empty = task.tally(0, names, about, shape, options)
    versions = torch.stack([outputs, outputs.flip(0), outputs])  # of three candidates, the last as the first
    whole = _figures(empty, names, versions, targets, len(targets))
    _check_margins(task, versions, targets, whole)
    for size in PARTS:
        _check_equal(whole, _figures(empty, names, versions, targets, size), f"blocks of {size}")
    _check_alone(empty, names, versions, targets, whole)
    _check_hopes(task, empty, versions, targets, whole)
    _check_left_out(empty, names, versions, targets, whole)
    best = {name: float(values[0]) for name, values in whole.items()}
    holds(len(ranked(task, best)) == len(task.better), "epochs are ranked by its figures")


def _figures(
    empty: Tally, names: Sequence[str], versions: Tensor, targets: Tensor, size: int
) -> dict[str, FloatArray]:
    rows = np.arange(len(versions))
    tally = empty.fresh(len(versions))
    holds(tally.row_bytes > 0, "row_bytes is above 0, for memory is planned by it")
    for start in range(0, len(targets), size):
        block = slice(start, start + size)
        tally.add(rows, versions[:, block], rows, targets[block])
        possible = tally.best_possible(list(names), len(targets))
        holds(set(possible) == set(names), "best_possible says it of every metric that is asked for")
    holds(not tally.failures, f"these outputs are no failures: {tally.failures}")
    values = tally.values(list(names))
    holds(set(values) == set(names), "values gives every metric that was asked for")
    holds(all(values[name].shape == (len(versions),) for name in names), "values are [R] each")
    return values


def _check_alone(
    empty: Tally, names: Sequence[str], versions: Tensor, targets: Tensor, whole: dict[str, FloatArray]
) -> None:
    """A candidate by itself, and two that share one version."""
    one, shared = empty.fresh(1), empty.fresh(3)
    one.add(np.array([0]), versions[:1], np.array([0]), targets)
    shared.add(np.array([0, 2]), versions[:1], np.array([0, 0]), targets)
    shared.add(np.array([1]), versions[1:2], np.array([0]), targets)
    alone, together = one.values(list(names)), shared.values(list(names))
    _check_equal(together, whole, "rows that share a version")
    _check_equal({name: values[:1] for name, values in whole.items()}, alone, "a candidate alone")


def _check_hopes(
    task: Task, empty: Tally, versions: Tensor, targets: Tensor, whole: dict[str, FloatArray]
) -> None:
    """After each sample: no figure may end better than was still possible, or good candidates are stopped."""
    names, rows = list(task.metrics), np.arange(len(versions))
    tally = empty.fresh(len(rows))
    for sample in range(len(targets)):
        one = slice(sample, sample + 1)
        tally.add(rows, versions[:, one], rows, targets[one])
        for name, hoped in tally.best_possible(names, len(targets)).items():
            sign = 1.0 if task.metrics[name].direction == "maximize" else -1.0
            slack = 1e-9 + 1e-6 * np.abs(whole[name])
            reached = (sign * whole[name] <= sign * hoped + slack).all()
            holds(reached, f"{name}: no figure ends better than best_possible said")


def _check_margins(task: Task, versions: Tensor, targets: Tensor, whole: Mapping[str, FloatArray]) -> None:
    """Metrics follow from what is told of single samples, but for a constant."""
    told = told_of(task, list(task.metrics), tuple(versions.shape[2:]), targets)
    if told is None:
        return
    values = told.values(versions, targets).numpy()
    shape = (len(versions), len(targets) * sum(told.widths))
    holds(values.shape == shape, "margins are [V, n], or [V, n, width]: so many for each sample")
    for name in (name for part in told.parts for name in part.metrics):
        holds(name in task.metrics, "answers count for metrics of the task")
        follows = told.follows(name, targets)
        if follows is None:
            continue
        holds(follows.shares.shape == shape[1:], f"{name}: each value of a sample has its share")
        beyond = whole[name] - figure(follows, values)
        same = np.allclose(beyond, beyond[0], rtol=1e-5, atol=1e-5 * (1 + np.abs(whole[name]).max()))
        holds(same, f"{name}: follows from the samples' answers, but for a constant")


def _check_left_out(
    empty: Tally, names: Sequence[str], versions: Tensor, targets: Tensor, whole: dict[str, FloatArray]
) -> None:
    """Rows that aren't asked for, and a candidate whose outputs are no numbers beside good ones."""
    tally = empty.fresh(3)
    broken = versions.clone()
    broken[1] = torch.nan
    tally.add(np.arange(3), broken, np.arange(3), targets)
    holds(set(tally.failures) == {1}, "outputs that are NaN are a failure, and only those")
    for name, values in tally.values(list(names), np.array([1, 2])).items():
        holds(np.isnan(values[:2]).all(), f"{name}: NaN for a failure, and for a row that isn't asked for")
        holds(
            np.allclose(values[2], whole[name][2], rtol=1e-5, equal_nan=True),
            f"{name}: the others have theirs",
        )


def _check_equal(one: dict[str, FloatArray], other: dict[str, FloatArray], said: str) -> None:
    for name, values in one.items():
        close = np.allclose(values, other[name], rtol=1e-5, atol=1e-7, equal_nan=True)
        holds(close, f"{name} is the same for {said}: {other[name]} in place of {values}")
