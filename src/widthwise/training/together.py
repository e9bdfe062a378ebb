"""Training several networks of other widths at once, by torch.func over stacked parameters.

Each step is that of training alone (`loop.py`) for all of them, on the same batches: small networks spend
most of a step on calls, which are then shared. Source: the ensembling of torch.func (functional_call under
vmap over stacked parameters); padding to the widest keeps their shapes the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import facts_of, part
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.network.calling import arguments, call
from widthwise.training.class_weights import with_class_weights
from widthwise.training.history import Epoch, History, best_of
from widthwise.training.loop import blocks_of_pass, diverged, passes_of, shuffled
from widthwise.training.padding import fill, padded
from widthwise.training.scoring import nothing_to_judge_on
from widthwise.training.settings import Settings, check_device
from widthwise.training.stepper import Stepper, make_optimizer

if TYPE_CHECKING:
    from widthwise.data.blocks import DataBlock
    from widthwise.data.modules import Data
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.task import Task

ROWS = 16
"""Networks that are always trained at once; copies fill up what is left. What becomes of one doesn't depend
on the others then: elements are computed in vectors of 4 to 16, and with so many rows none is left over."""

AGREES = 1e-3  # of the greatest output: sums in another order differ by less


class Stack:
    """Networks of one kind in one: their parameters and buffers [ROWS, ...] by name, those of the widest.

    Up to ROWS models, and where their tensors lie in the widest (see `padding.py`).
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        places: Sequence[Mapping[str, Tensor]],
        widest: nn.Module,
        device: str = "cpu",
    ) -> None:
        rows = [min(row, len(models) - 1) for row in range(ROWS)]
        self.base = copy.deepcopy(widest).to(device)
        known = padded([models[row] for row in rows], [places[row] for row in rows], widest)
        held = dict(models[0].named_parameters())
        self.parameters = {
            name: known[name].to(device).requires_grad_(held[name].requires_grad)
            for name, _ in self.base.named_parameters()
        }
        self.buffers = {name: known[name].to(device) for name, _ in self.base.named_buffers()}
        self._places = [places[row] for row in rows]
        self._inside = {name: inside for name in self.parameters if (inside := self._mask(name)) is not None}
        self._best = self._copied()

    @property
    def trained(self) -> list[Any]:
        """The parameters that an optimiser changes."""
        return [parameter for parameter in self.parameters.values() if parameter.requires_grad]

    def losses(self, stepper: Stepper, block: DataBlock) -> Tensor:
        """The loss [ROWS] of each network on a batch."""
        return self._each(partial(stepper.loss, block=block), stepper.fitting)

    def outputs(self, fitting: Fit, block: DataBlock) -> Tensor:
        """What is judged [ROWS, n, ...] of what each network returns."""
        return self._each(lambda run: fitting.output(run(block.inputs)), fitting)

    def mask_gradients(self) -> None:
        """What a network doesn't have gets no gradient, so it stays zero."""
        for name, inside in self._inside.items():
            gradient = self.parameters[name].grad
            if gradient is not None:
                gradient.mul_(inside)

    def keep(self, row: int) -> None:
        """The weights of this row as they are now are those to be left with."""
        for name, tensor in {**self.parameters, **self.buffers}.items():
            self._best[name][row] = tensor.detach()[row]

    def leave(self, model: nn.Module, row: int) -> None:
        """Gives a network, on the CPU, the weights that were kept of its row; in eval mode."""
        fill(model, {name: tensor[row] for name, tensor in self._best.items()}, self._places[row])
        model.eval()

    def _each(self, function: Any, fitting: Fit) -> Tensor:
        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Any:
            def run(inputs: Mapping[str, Tensor]) -> Any:
                args, kwargs = arguments(fitting.reader.takes, inputs)
                return functional_call(self.base, (parameters, buffers), args, kwargs)

            return function(run)

        found: Tensor = vmap(one)(self.parameters, self.buffers)
        return found

    def _mask(self, name: str) -> Tensor | None:
        """Which elements [ROWS, ...] networks have; None where all have all."""
        like = self.parameters[name]
        inside = torch.zeros(ROWS, like[0].numel(), dtype=like.dtype)
        for row, places in enumerate(self._places):
            inside[row, places[name].flatten()] = 1
        return None if bool(inside.all()) else inside.reshape(like.shape).to(like.device)

    def _copied(self) -> dict[str, Tensor]:
        return {name: t.detach().clone() for name, t in {**self.parameters, **self.buffers}.items()}


def train_together(
    models: Sequence[nn.Module],
    places: Sequence[Mapping[str, Tensor]],
    widest: nn.Module,
    data: Data,
    settings: Settings,
    *,
    seed: int = 0,
    device: str = "cpu",
    teacher: nn.Module | None = None,
    task: Task | str | None = None,
    output: str | int | None = None,
) -> list[History | UserError]:
    """Trains up to ROWS models, on the CPU, in place, as `train` does each: its history, or why it failed.

    places: of each, where its tensors lie in those of the widest. The same model, seed, data and settings
    give the same weights whichever others are trained beside it; those of training alone differ as sums in
    another order do.
    """
    check_device(device, settings)
    fitting = check_data_fits_model(models[0], data, task, output)
    data = with_targets(data, models[0], fitting.task, output, copied=True)
    settings, about = with_class_weights(settings, data, fitting), facts_of(data)
    batches, val = shuffled(part(data, "train"), seed), part(data, "val")
    stack = Stack(models, places, widest, device)
    optimizer = make_optimizer(stack.trained, settings)
    stepper = Stepper(optimizer, settings, device, passes_of(batches), fitting, about, teacher=teacher)
    done: list[list[Epoch]] = [[] for _ in models]
    failed: dict[int, UserError] = {}
    while left := [r for r in range(len(models)) if r not in failed and not stepper.finished(done[r])]:
        losses = _train_once(stack, batches, stepper)
        values = _scores(stack, val, stepper)
        for row in left:
            epoch = Epoch(len(done[row]) + 1, losses[row], {name: v[row] for name, v in values.items()})
            if (wrong := diverged(epoch, settings.learning_rate)) is not None:
                failed[row] = wrong
                continue
            done[row].append(epoch)
            if best_of(done[row], fitting.task) is epoch:
                stack.keep(row)
    for row, model in enumerate(models):
        stack.leave(model, row)
    return [failed.get(row) or History(tuple(each), fitting.task) for row, each in enumerate(done)]


def _train_once(stack: Stack, loader: Iterable[Any], stepper: Stepper) -> list[float]:
    """One pass with an optimiser step a batch; the mean loss of each over the samples."""
    stack.base.train()
    total, seen = torch.zeros(ROWS, device=stepper.device), 0
    for block in blocks_of_pass(loader, stepper):
        losses = stack.losses(stepper, block)
        stepper.backward(losses.sum())
        stack.mask_gradients()
        stepper.apply()
        total += losses.detach() * len(block)
        seen += len(block)
    found: list[float] = (total / seen).tolist()
    return found


def _scores(stack: Stack, loader: Iterable[Any], stepper: Stepper) -> dict[str, list[float]]:
    """The task's figures of each over the loader, by name."""
    stack.base.eval()
    judged, rows, tally = stepper.task, np.arange(ROWS), None
    for block in stepper.batches(loader):
        with torch.no_grad():
            outputs = stack.outputs(stepper.fitting, block)
        shape = tuple(outputs.shape[2:])
        judged.check(block.targets, shape, stepper.about)
        if tally is None:
            seen = stepper.about.seen(next(iter(block.inputs.values())), block.targets)
            tally = judged.tally(ROWS, judged.better, seen, shape)
        tally.add(rows, outputs, rows, block.targets)
    if tally is None:
        raise nothing_to_judge_on()
    return {name: values.tolist() for name, values in tally.values(judged.better).items()}


def check_together(
    model: nn.Module,
    places: Mapping[str, Tensor],
    widest: nn.Module,
    data: Data,
    settings: Settings,
    *,
    task: Task | str | None = None,
    output: str | int | None = None,
) -> None:
    """Raises UserError where a network inside the widest computes something else, or can't be stacked."""
    if settings.mixed_precision:
        raise UserError("stacked: goes without mixed_precision, which scales one loss; leave one out")
    fitting = check_data_fits_model(model, data, task, output)
    stack, block = Stack([model], [places], widest), fitting.block
    optimizer = make_optimizer(stack.trained, settings)
    settings = with_class_weights(settings, data, fitting)
    stepper = Stepper(optimizer, settings, "cpu", None, fitting, facts_of(data))
    own = copy.deepcopy(model)
    for training in (False, True):
        own.train(training)
        stack.base.train(training)
        try:
            with torch.no_grad():
                wanted = fitting.output(call(own, block.inputs, fitting.reader.takes))
                found = stack.outputs(fitting, block)[0]
                stack.losses(stepper, block)
        except Exception as error:  # torch.func has no rule for an operation, or the network draws numbers
            raise UserError(
                f"stacked: several of these networks can't be trained at once: {describe_error(error)}; "
                "leave it out"
            ) from error
        apart = float((found - wanted).abs().max())
        if not apart <= AGREES * max(float(wanted.abs().max()), AGREES):
            raise UserError(
                f"stacked: padded with zeros to the widest a network gives other outputs (by {apart:.2g}): "
                "a layer looks at all channels together; leave it out"
            )
