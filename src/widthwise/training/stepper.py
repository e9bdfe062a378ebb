"""Steps of an optimiser: the loss of a batch, its gradient, the learning rate along its schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import DataFacts
from widthwise.training.history import Epoch, best_of
from widthwise.training.losses import loss_of
from widthwise.training.settings import OPTIMIZERS, Settings

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from widthwise.data.blocks import DataBlock
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.task import Task

TEMPERATURE = 2.0  # of distillation: softened outputs tell more about the classes that are alike


@dataclass
class Stepper:
    """Steps of an optimiser along a schedule, in full or mixed precision; `taken` counts them."""

    optimizer: torch.optim.Optimizer
    settings: Settings
    device: str
    per_pass: int | None  # batches of a pass, where the loader knows
    fitting: Fit  # how the network is given its data, and which output is trained
    about: DataFacts
    taken: int = 0
    teacher: nn.Module | None = None  # whose outputs the loss is about too; on the device, in eval mode

    def __post_init__(self) -> None:
        import torch

        if not self.settings.distil:
            self.teacher = None
        if self.teacher is not None:
            self.teacher = copy.deepcopy(self.teacher).to(self.device).eval()

        self.mixed_type = torch.bfloat16
        if self.settings.mixed_precision and not torch.cuda.is_bf16_supported():
            self.mixed_type = torch.float16
        self.of_targets = loss_of(self.task, self.settings)
        self._wanted: tuple[DataBlock, Tensor] | None = None  # of the last batch
        scaled = self.settings.mixed_precision and self.mixed_type == torch.float16
        self.scaler = torch.amp.GradScaler(enabled=scaled)

    def finished(self, done: list[Epoch]) -> bool:
        """Whether the training is at its end after these epochs."""
        patience = self.settings.patience
        if patience is not None and done and len(done) - best_of(done, self.task).number >= patience:
            return True
        if self.settings.steps is not None:
            return self.taken >= self.settings.steps
        return len(done) >= self.settings.epochs

    @property
    def task(self) -> Task:
        """What the outputs are worth."""
        return self.fitting.output.task

    def batches(self, loader: Iterable[Any]) -> Iterator[DataBlock]:
        """The loader's batches as the network takes them."""
        return replace(self.fitting.reader, device=self.device).batches(loader)

    def loss(self, run: Callable[[Mapping[str, Tensor]], Any], block: DataBlock) -> Tensor:
        """The loss of a batch, by which the step will go; run: inputs by name to what the network returns."""
        import torch

        kind = torch.device(self.device).type
        with torch.autocast(kind, self.mixed_type, enabled=self.settings.mixed_precision):
            outputs = self.outputs(_forward(run, block), block)
            self.task.check(block.targets, tuple(outputs.shape[1:]), self.about)
            loss = self.of_targets(outputs, block.targets)
            if self.teacher is None:
                return loss
            share, distance = self.settings.distil, self.task.distance
            apart = distance(outputs, self.wanted(block), temperature=TEMPERATURE)
            return (1 - share) * loss + share * apart if share < 1 else apart

    def wanted(self, block: DataBlock) -> Tensor:
        """What the teacher gives for a batch."""
        import torch

        assert self.teacher is not None
        if self._wanted is None or self._wanted[0] is not block:
            with torch.no_grad():
                self._wanted = block, self.outputs(self.run(self.teacher)(block.inputs), block)
        return self._wanted[1]

    def distance(self, run: Callable[[Mapping[str, Tensor]], Any], block: DataBlock) -> Tensor:
        """How far what `run` gives for a batch is from what the teacher gives."""
        outputs = self.outputs(_forward(run, block), block)
        return self.task.distance(outputs, self.wanted(block), temperature=TEMPERATURE)

    def run(self, model: nn.Module) -> Callable[[Mapping[str, Tensor]], Any]:
        """The network as a function of its inputs by name."""
        from widthwise.network.calling import call

        return partial(call, model, takes=self.fitting.reader.takes)

    def outputs(self, result: Any, block: DataBlock) -> Tensor:
        """What is trained of what the network returned for a batch: in training it may return more."""
        from widthwise.metrics.quality.outputs import find_output

        output = self.fitting.output
        if not output.is_in(result):
            output = find_output(result, block.targets, self.task, self.about)
        return output(result)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of the loss to what gradients there are."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def apply(self) -> None:
        """One step along the gradients that there are, and none left afterwards."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.settings.rate(self.share_done)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1

    @property
    def share_done(self) -> float:
        """The share of the training that is done; 0 where nobody knows how long it is."""
        if self.settings.steps is not None:
            return self.taken / self.settings.steps
        if self.per_pass is None:
            return 0.0
        return self.taken / (self.per_pass * self.settings.epochs)

    @property
    def steps_left(self) -> float:
        """How many steps there may still be."""
        return math.inf if self.settings.steps is None else self.settings.steps - self.taken


def make_optimizer(parameters: list[nn.Parameter], settings: Settings) -> torch.optim.Optimizer:
    """The optimiser of the settings over these parameters."""
    import torch

    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        options["momentum"] = settings.momentum
    fused = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters)
    made: torch.optim.Optimizer = getattr(torch.optim, OPTIMIZERS[settings.optimizer])(
        parameters, fused=fused, **options
    )
    return made


def _forward(run: Callable[[Mapping[str, Tensor]], Any], block: DataBlock) -> Any:
    try:
        return run(block.inputs)
    except Exception as error:  # the network may raise anything
        # a ValueError is from normalisation, where the batch size is 1
        mend = "take a larger batch_size" if isinstance(error, ValueError) else "give batches that it takes"
        raise UserError(
            f"training on a batch of {len(block)} failed: {describe_error(error)}; {mend}"
        ) from error
