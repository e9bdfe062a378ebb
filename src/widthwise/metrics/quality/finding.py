"""Which task a network's outputs and the data's targets are for, where nobody says it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from widthwise.core.errors import UserError
from widthwise.data.facts import DataFacts
from widthwise.data.targets import IGNORED
from widthwise.metrics.quality.places import VOID, are_whole
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import BINARY, CLASSIFICATION, REGRESSION, SEGMENTATION, TOKENS, task_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """A task, and by what it was found."""

    task: Task
    why: str


def find_task(targets: Tensor, outputs: Shape, about: DataFacts) -> Found:
    """The task that fits targets [n, ...] and outputs of this shape for one sample.

    targets: all that are at hand, as values tell 0 and 1 from other numbers. Raises UserError where none
    fits.
    """
    for name, why in _candidates(targets, outputs):
        if name == REGRESSION and _are_named(targets, about):
            raise UserError(
                f"{about.title}: has {len(about.class_names)} classes ({', '.join(about.class_names[:3])} …) "
                f"but the network gives {_shape(outputs)}; let it give scores [n, {len(about.class_names)}]"
            )
        return Found(task_of(name), why)
    raise UserError(
        f"{about.title}: no task is found for targets {_said(targets)} and outputs {_shape(outputs)}; "
        f"{_advice(targets, outputs)}"
    )


def _are_named(targets: Tensor, about: DataFacts) -> bool:
    """Whether targets [n] are numbers of classes that have names, which are nothing to be near to."""
    named = any(not name.lstrip("-").isdigit() for name in about.class_names)
    return named and targets.ndim == 1 and not targets.is_floating_point()


def _advice(targets: Tensor, outputs: Shape) -> str:
    """What to give instead."""
    if targets.ndim > 2 and _same(targets, outputs):
        wanted = _shape((1, *outputs)) if outputs[:1] != (1,) else _shape(outputs)
        return (
            f"they are 0 and 1 alone: segmentation takes one logit a place, {wanted}, or class numbers "
            '[n, ...] for scores [n, C, ...]; task = "regression" takes them as numbers'
        )
    places = [size for size in targets.shape[1:] if size != 1]
    if len(outputs) > 1 and places and places == [size for size in outputs[1:] if size != 1]:
        wanted = f"[{', '.join(['n', *map(str, outputs[1:])])}]"
        return f"segmentation takes whole numbers {wanted}, int64, a class for each place"
    return (
        "give numbers of the shape of the outputs, or whole numbers [n], one of C classes, for outputs [n, C]"
    )


def other_task(task: Task, targets: Tensor, outputs: Shape, about: DataFacts) -> str | None:
    """The name of another task that could judge by these targets, if there is one."""
    try:
        found = find_task(targets, outputs, about).task
        judged = found.outputs(torch.empty((0, *outputs)))
        found.check(targets, tuple(judged.shape[1:]), about)
    except UserError:
        return None
    return found.name if found.name != task.name else None


def _candidates(targets: Tensor, outputs: Shape) -> Iterator[tuple[str, str]]:
    """The tasks that the shapes and values allow, the likeliest first, and why."""
    whole, one_each = not targets.is_floating_point(), _same(targets, outputs)
    yes_or_no = one_each and bool(((targets == 0) | (targets == 1)).all())
    places = tuple(targets.shape[1:])
    if outputs[1:] in (places, places[1:]) and _one_logit(targets, outputs):
        yield SEGMENTATION, f"targets 0 and 1, a logit for each of {_times(outputs[1:])} places"
    if len(places) > 1 and (whole or are_whole(targets)) and outputs[1:] in _places(targets):
        each = "a logit" if outputs[0] == 1 else f"one of {outputs[0]} classes"
        yield SEGMENTATION, f"{each} for each of {_times(outputs[1:])} places"
    if whole and places and outputs[:-1] == places:
        yield TOKENS, f"one of {outputs[-1]:,} tokens for each of {prod(places):,} positions"
    if whole and len(places) == 1 and outputs[1:] == places:
        yield SEGMENTATION, f"one of {outputs[0]} classes for each of {places[0]} places"
    if whole and targets.ndim == 1 and len(outputs) == 1 and outputs[0] > 1:
        yield CLASSIFICATION, f"one of {outputs[0]} classes for each sample"
    if one_each and targets.ndim == 2 and targets.shape[1] > 1 and _sum_to_one(targets):
        yield CLASSIFICATION, f"shares of {targets.shape[1]} classes, 1 together"
    if yes_or_no and targets.ndim <= 2:
        labels = int(targets[:1].numel())
        yield BINARY, "targets 0 and 1, a logit for each" + (f" of {labels} labels" if labels > 1 else "")
    if yes_or_no and len(places) > 1 and bool((targets == 1).any()):
        return  # regression of marks would be a loss that nobody means: it has to be said
    if one_each:
        yield REGRESSION, f"targets {_said(targets)}, an output for each number"


def _places(targets: Tensor) -> list[Shape]:
    """The places that labels may be for: an axis of length 1 behind the samples may be one of channels."""
    places = tuple(targets.shape[1:])
    return [places, places[1:]] if len(places) > 2 and places[0] == 1 else [places]


def _one_logit(targets: Tensor, outputs: Shape) -> bool:
    """Whether there is a logit for each place, and labels are 0 and 1 but for 255 and -100, left out."""
    if len(outputs) < 2 or outputs[0] != 1:
        return False
    known = targets[(targets != VOID) & (targets != IGNORED)]
    return bool(((known == 0) | (known == 1)).all() and (known == 1).any())


def _times(places: Shape) -> str:
    return " x ".join(map(str, places))


def _same(targets: Tensor, outputs: Shape) -> bool:
    """Whether there is an output for each number of a target: axes of length 1 don't count."""
    return [size for size in targets.shape[1:] if size != 1] == [size for size in outputs if size != 1]


def _sum_to_one(targets: Tensor) -> bool:
    """Whether the numbers of each sample are from 0, and 1 together."""
    shares = targets.double()
    return bool((shares >= 0).all() and ((shares.sum(1) - 1).abs() < 1e-3).all())


def _said(targets: Tensor) -> str:
    return f"{str(targets.dtype).removeprefix('torch.')} {_shape(targets.shape[1:])}"


def _shape(sample: Shape | torch.Size) -> str:
    """The shape of many samples, from that of one."""
    return f"[{', '.join(map(str, ('n', *sample)))}]"
