"""A supernet: one network trained so that every smaller width is a good network as a slice of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.core.steps import step
from widthwise.data.blocks import DataBlock
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.task import Task
from widthwise.network.calling import arguments, takes_of
from widthwise.network.widths.changes import Change, check_size, side_channels
from widthwise.network.widths.channels import Channels
from widthwise.network.widths.groups import Groups, Member
from widthwise.network.widths.rebuild import rebuilt, resize_attributes, set_attributes, sliced_parameter
from widthwise.network.widths.slicing import sliced
from widthwise.network.widths.statistics import reestimate_norms
from widthwise.training.class_weights import with_class_weights
from widthwise.training.loop import at_work, parameters_to_train, passes_of, shuffled
from widthwise.training.settings import Settings, check_device
from widthwise.training.stepper import Stepper, make_optimizer

Sizes = Mapping[str, int]
Draw = Callable[[np.random.Generator], Sizes]


@dataclass(frozen=True)
class Sandwich:
    """Which widths a step trains: the largest, the smallest and `random` others in between.

    The others learn from the largest's outputs where `distil`. Source: Yu and Huang 2019 (US-Nets), the
    sandwich rule and inplace distillation.
    """

    random: int = 2
    distil: bool = True


class Supernet:
    """A network at its largest widths, of which a width is the slice of the first units of every group.

    `model` holds the shared weights; `groups` are its groups, at the largest sizes.
    """

    def __init__(self, model: nn.Module, groups: Groups) -> None:
        self.model, self.groups = model, groups
        self._shell = copy.deepcopy(model)  # runs with the slices' sizes; its own weights are never used
        self._layers = dict(self._shell.named_modules())
        self._channels: dict[tuple[Member, tuple[int, ...]], Channels | None] = {}
        self._members = {
            member: tuple(sorted(set(layout.group[layout.group >= 0].tolist())))
            for member, layout in groups.layouts.items()
            if (layout.group >= 0).any()
        }
        self._owners = dict.fromkeys(member.owner for member in self._members)

    def __call__(self, inputs: Tensor | Mapping[str, Tensor], sizes: Sizes) -> Any:
        """What the slice of these sizes returns for its only input, or for several by name.

        Gradients go to the shared weights.
        In training mode batch norms use the batch's own statistics and keep none.
        """
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        numbers = tuple(sizes.get(group.name, group.size) for group in self.groups.groups)
        layers = dict(self.model.named_modules())
        for owner in self._owners:
            taken = self._side(Member(owner, "in"), numbers)
            outputs = self._side(Member(owner, "out"), numbers)
            if owner in layers:
                resize_attributes(self._layers[owner], taken, outputs, like=layers[owner])
                found = sliced(layers[owner], taken, outputs, torch.default_generator)
                tensors |= {f"{owner}.{name}": tensor for name, tensor in found.items()}
            else:
                sides = self._sides(owner, numbers)
                tensors[owner] = sliced_parameter(
                    tensors[owner], owner, sides, self.groups, torch.default_generator
                )
        by_name = {group.name: size for group, size in zip(self.groups.groups, numbers, strict=True)}
        set_attributes(self._layers, self.groups, by_name)
        self._shell.train(self.model.training)
        if isinstance(inputs, Tensor):
            return functional_call(self._shell, tensors, (inputs,))
        args, kwargs = arguments(takes_of(self.model), inputs)
        return functional_call(self._shell, tensors, args, kwargs)

    def network(self, sizes: Sizes, data: Data | None = None, *, device: str = "cpu") -> nn.Module:
        """A network of its own of these sizes, batch norms measured anew on training data; in eval mode."""
        changes = {name: leading(self.groups, name, size) for name, size in sizes.items()}
        made = rebuilt(self.model, self.groups, changes).to(device)
        if data is not None:
            reestimate_norms(made, part(data, "train"), device=device)
        return made.eval()

    def _sides(self, owner: str, numbers: tuple[int, ...]) -> dict[Member, Channels]:
        """The sides of a parameter that belongs to no layer, at these sizes of all groups."""
        mine = [member for member in self._members if member.owner == owner]
        found = {member: self._side(member, numbers) for member in mine}
        return {member: side for member, side in found.items() if side is not None}

    def _side(self, member: Member, numbers: tuple[int, ...]) -> Channels | None:
        """The channels of a side at these sizes of all groups; remembered, for few of them occur."""
        if member not in self._members:
            return None
        key = (member, tuple(numbers[group] for group in self._members[member]))
        if key not in self._channels:
            changes = {
                at: leading(self.groups, self.groups.groups[at].name, numbers[at])
                for at in self._members[member]
            }
            self._channels[key] = side_channels(self.groups.layouts[member], changes)
        return self._channels[key]


def leading(groups: Groups, name: str, size: int) -> Change:
    """The first units of each block of a group; raises UserError for sizes that it can't have."""
    group = groups[name]
    check_size(group, size)
    if size > group.size:
        raise UserError(f"{name}: the supernet has {group.size} channels, less than {size}")
    each, kept = group.size // group.blocks, size // group.blocks
    rows: IntArray = each * np.arange(group.blocks)[:, None] + np.arange(kept)
    return Change(rows.ravel())


def train_supernet(
    supernet: Supernet,
    data: Data,
    settings: Settings,
    *,
    smallest: Sizes,
    draw: Draw,
    sandwich: Sandwich | None = None,
    seed: int = 0,
    device: str = "cpu",
    task: Task | str | None = None,
    output: str | int | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Trains the shared weights in place; the mean loss of the largest width, epoch by epoch.

    smallest: the least size of every group. draw: random sizes from a generator. Every step adds up the
    gradients of several widths (see `Sandwich`). Afterwards the weights are the last ones, in eval mode.
    `progress` hears each epoch's number and loss. Raises UserError where the loss is no finite number.
    """
    check_device(device, settings)
    rule = sandwich or Sandwich()
    rng = np.random.default_rng(seed)
    losses: list[float] = []
    with at_work(supernet.model, device, seed) as kept:
        supernet._shell.to(device)
        fitting = check_data_fits_model(supernet.model, data, task, output)
        settings = with_class_weights(settings, data, fitting)
        batches = shuffled(part(data, "train"), seed)
        optimizer = make_optimizer(parameters_to_train(supernet.model), settings)
        stepper = Stepper(optimizer, settings, device, passes_of(batches), fitting, facts_of(data))
        while not _finished(stepper, len(losses)):
            step("training the supernet, epochs", len(losses), _epochs(stepper))
            losses.append(_epoch(supernet, batches, stepper, rule, smallest, draw, rng))
            if not math.isfinite(losses[-1]):
                raise UserError(
                    f"training the supernet diverged in epoch {len(losses)}: the loss is {losses[-1]:g}; "
                    f"lower learning_rate (now {settings.learning_rate:g})"
                )
            if progress is not None:
                progress(len(losses), losses[-1])
        kept.update({name: t.detach().clone() for name, t in supernet.model.state_dict().items()})
    return losses


def _epochs(stepper: Stepper) -> int | None:
    """How many there will be; None where steps are counted."""
    return stepper.settings.epochs if stepper.settings.steps is None else None


def _finished(stepper: Stepper, epochs: int) -> bool:
    if stepper.settings.steps is not None:
        return stepper.taken >= stepper.settings.steps
    return epochs >= stepper.settings.epochs


def _epoch(
    supernet: Supernet,
    batches: Iterable[Any],
    stepper: Stepper,
    rule: Sandwich,
    smallest: Sizes,
    draw: Draw,
    rng: np.random.Generator,
) -> float:
    """One pass; the mean loss of the largest width."""
    supernet.model.train()
    total, seen, largest = 0.0, 0, 0
    for block in stepper.batches(batches):
        largest = max(largest, len(block))
        if len(block) == 1 < largest or stepper.steps_left <= 0:
            continue
        widths = [smallest, *(draw(rng) for _ in range(rule.random))]
        loss = _sandwich_gradients(supernet, block, stepper, widths, distil=rule.distil)
        stepper.apply()
        total += loss * len(block)
        seen += len(block)
    if not seen:
        raise UserError("no samples to train on; give the train split a share of the data")
    return total / seen


def _sandwich_gradients(
    supernet: Supernet, block: DataBlock, stepper: Stepper, widths: list[Sizes], *, distil: bool
) -> float:
    """Adds up the gradients of the largest and these widths; the loss of the largest."""
    results: list[Any] = []

    def largest(inputs: Mapping[str, Tensor]) -> Any:
        results.append(supernet(inputs, {}))
        return results[-1]

    loss = stepper.loss(largest, block)
    stepper.backward(loss)
    teacher = stepper.outputs(results[0], block).detach()
    for sizes in widths:
        if distil:
            outputs = stepper.outputs(supernet(block.inputs, sizes), block)
            stepper.backward(stepper.task.distance(outputs, teacher))
        else:
            stepper.backward(stepper.loss(partial(supernet, sizes=sizes), block))
    return float(loss.detach())
