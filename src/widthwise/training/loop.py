"""The training loop: a network in place, on batches, until its epochs, its steps or its patience end."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import DataFacts, facts_of, part
from widthwise.data.modules import Batches, Data
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.tasks import CLASSIFICATION, task_of
from widthwise.training.history import Epoch, History, best_of
from widthwise.training.scoring import score
from widthwise.training.settings import OPTIMIZERS, OptimizerName, Schedule, Settings, check_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from widthwise.data.blocks import DataBlock
    from widthwise.metrics.quality.fits import Fit
    from widthwise.metrics.quality.task import Task

TEMPERATURE = 2.0  # of distillation: softened outputs tell more about the classes that are alike


def fit(
    model: nn.Module,
    data: Data,
    *,
    epochs: int = 100,
    steps: int | None = None,
    learning_rate: float = 2e-2,
    seed: int = 0,
    device: str = "cpu",
    optimizer: OptimizerName = "adam",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule = "cosine",
    label_smoothing: float = 0.0,
    patience: int | None = None,
    mixed_precision: bool = False,
    task: Task | str = CLASSIFICATION,
    output: str | int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """Trains the model in place by the task's loss (cross-entropy); the options are those of `Settings`.

    Batches are tuples (x, y), (x1, x2, y), ((x1, x2), y) or dicts by the names of the network's forward with
    labels; `output` names which of several outputs is trained and judged, where that is not plain.

    Afterwards the model holds the weights of the epoch that is best by the task's figures on validation data
    (accuracy), is in eval mode and on the device it came from; the global random state is as before. The same
    seed, model and data give the same weights. `progress` is called after each epoch. An interruption leaves
    the best weights so far, as does the UserError raised when a loss is no finite number. Also raises
    UserError for settings out of range and data that doesn't fit the model.
    """
    settings = Settings(
        epochs=epochs,
        steps=steps,
        learning_rate=learning_rate,
        optimizer=optimizer,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        label_smoothing=label_smoothing,
        patience=patience,
        mixed_precision=mixed_precision,
    )
    return train(model, data, settings, seed=seed, device=device, task=task, output=output, progress=progress)


def train(
    model: nn.Module,
    data: Data,
    settings: Settings,
    *,
    seed: int = 0,
    device: str = "cpu",
    teacher: nn.Module | None = None,
    task: Task | str = CLASSIFICATION,
    output: str | int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """As `fit`, with settings that are checked already; `teacher` is the network that `distil` is about."""
    check_device(device, settings)
    trained, judged, about = parameters_to_train(model), task_of(task), facts_of(data)
    done: list[Epoch] = []
    with at_work(model, device, seed) as best:
        fitting = check_data_fits_model(model, data, judged, output)
        batches, val = shuffled(part(data, "train"), seed), part(data, "val")
        optimizer = make_optimizer(trained, settings)
        stepper = Stepper(optimizer, settings, device, passes_of(batches), fitting, about, teacher=teacher)
        while not stepper.finished(done):
            train_loss = _train_once(model, batches, stepper)
            found = score(model, val, device=device, task=judged, about=about, output=fitting.output)
            epoch = Epoch(len(done) + 1, train_loss, found.values)
            _check_losses(epoch, settings.learning_rate)
            done.append(epoch)
            if best_of(done, judged) is done[-1]:
                best.update(_copy(model))
            if progress is not None:
                progress(done[-1])
    return History(tuple(done), judged)


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
            loss = self.task.loss(outputs, block.targets, self.settings)
            if self.teacher is None:
                return loss
            with torch.no_grad():
                wanted = self.outputs(self.run(self.teacher)(block.inputs), block)
            share, distance = self.settings.distil, self.task.distance
            return (1 - share) * loss + share * distance(outputs, wanted, temperature=TEMPERATURE)

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
            group["lr"] = self.settings.learning_rate * self.settings.rate(self._share_done())
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1

    def _share_done(self) -> float:
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


def shuffled(loader: Iterable[Any], seed: int) -> Iterable[Any]:
    """The loader, its order changed by the seed: other seeds see the batches differently (0: as they are)."""
    if isinstance(loader, Batches) and loader.shuffle is not None and seed:
        loader.shuffle.manual_seed(loader.shuffle.initial_seed() + 1_000_003 * seed)
    return loader


def passes_of(loader: Any) -> int | None:
    """How many batches a pass has, where the loader knows."""
    try:
        return len(loader) or None
    except TypeError:
        return None


def _train_once(model: nn.Module, loader: Iterable[Any], stepper: Stepper) -> float:
    """One pass with an optimiser step a batch; the mean loss over the samples."""
    model.train()
    run = stepper.run(model)
    total, seen, largest = 0.0, 0, 0
    for block in stepper.batches(loader):
        largest = max(largest, len(block))
        if len(block) == 1 < largest:
            continue  # a last batch of one can't be normalised; the next pass leaves out another sample
        if stepper.steps_left <= 0:
            break
        loss = stepper.loss(run, block)
        stepper.backward(loss)
        stepper.apply()
        total += loss.item() * len(block)
        seen += len(block)
    if not seen:
        raise UserError("no samples to train on; give the train split a share of the data")
    return total / seen


def parameters_to_train(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient; raises UserError where there are none."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError(f"{type(model).__name__} has no parameters to train; let some require a gradient")
    return trained


def _forward(run: Callable[[Mapping[str, Tensor]], Any], block: DataBlock) -> Any:
    try:
        return run(block.inputs)
    except Exception as error:  # the network may raise anything
        # a ValueError is from normalisation, where the batch size is 1
        mend = "take a larger batch_size" if isinstance(error, ValueError) else "give batches that it takes"
        raise UserError(
            f"training on a batch of {len(block)} failed: {describe_error(error)}; {mend}"
        ) from error


@contextmanager
def at_work(model: nn.Module, device: str, seed: int) -> Iterator[dict[str, Tensor]]:
    """Yields the state that the model is left with, whatever happens, in eval mode and where it came from.

    Inside, the model is on the device and the random state comes from the seed; outside, both are as before.
    """
    import torch

    home = next(model.parameters()).device
    best = _copy(model)
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        try:
            model.to(device)
            yield best
        finally:
            model.load_state_dict(best)
            model.to(home).eval()


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _check_losses(epoch: Epoch, learning_rate: float) -> None:
    if not all(map(math.isfinite, (epoch.train_loss, *epoch.values.values()))):
        values = dict(epoch.values)
        judged = values.get("loss", next(iter(values.values())))
        raise UserError(
            f"training diverged in epoch {epoch.number}: the loss is {epoch.train_loss:g} in training and "
            f"{judged:g} in validation; lower learning_rate (now {learning_rate:g})"
        )
