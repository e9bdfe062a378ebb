"""The training loop: a network in place, on batches, until its epochs, its steps or its patience end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from widthwise.core.errors import UserError
from widthwise.data.facts import facts_of, part
from widthwise.data.modules import Data
from widthwise.data.served import Batches
from widthwise.metrics.quality.fits import check_data_fits_model
from widthwise.metrics.quality.making import with_targets
from widthwise.metrics.quality.tasks import CLOSENESS
from widthwise.training.beginning import begin_near_targets
from widthwise.training.class_weights import with_class_weights
from widthwise.training.history import Epoch, History, best_of
from widthwise.training.scoring import score
from widthwise.training.settings import ClassWeights, OptimizerName, Schedule, Settings, check_device
from widthwise.training.stepper import Stepper, make_optimizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from widthwise.data.blocks import DataBlock
    from widthwise.metrics.quality.task import Task


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
    loss: str | Callable[[Tensor, Tensor], Tensor] | None = None,
    class_weights: Sequence[float] | Literal["balanced"] | None = None,
    task: Task | str | None = None,
    output: str | int | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """Trains the model in place by the task's loss, or by one's own `loss`; options are those of `Settings`.

    task: what the outputs are worth, or its name; without it the one that fits the data.

    Batches are tuples (x, y), (x1, x2, y), ((x1, x2), y) or dicts by the names of the network's forward with
    labels; `output` names which of several outputs is trained and judged, where that is not plain.
    `class_weights` are a number for each class, or "balanced": rare classes count as much as frequent ones.

    Outputs that are numbers, and further from their targets than any constant, begin at mean and spread of
    these: the last layer is moved and stretched (see `widthwise.training.beginning`).

    Afterwards the model holds the weights of the epoch that is best by the task's figures on validation data
    is in eval mode and on the device it came from; the global random state is as before. The same
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
        loss=loss,
        class_weights=_weights(class_weights),
    )
    how: dict[str, Any] = {"seed": seed, "device": device, "task": task, "output": output}
    return train(model, data, settings, begin=True, progress=progress, **how)


def _weights(given: Sequence[float] | Literal["balanced"] | None) -> ClassWeights:
    if given is None or isinstance(given, str):
        return given
    return tuple(map(float, given))


def train(
    model: nn.Module,
    data: Data,
    settings: Settings,
    *,
    seed: int = 0,
    device: str = "cpu",
    teacher: nn.Module | None = None,
    task: Task | str | None = None,
    output: str | int | None = None,
    begin: bool = False,
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """As `fit`, with settings that are checked already.

    teacher: the network that `distil` is about. begin: whether outputs far from their targets begin at these.
    """
    check_device(device, settings)
    trained, about = parameters_to_train(model), facts_of(data)
    done: list[Epoch] = []
    with at_work(model, device, seed) as best:
        fitting = check_data_fits_model(model, data, task, output)
        judged = fitting.task
        if task is None and judged.name == CLOSENESS:
            raise UserError(
                f"{about.title}: has no targets to train on; give batches (x, y), or names and labels"
            )
        data = with_targets(data, model, fitting.task, output, copied=True)
        if begin:
            begin_near_targets(model, data, judged, output=output, device=device)
        settings = with_class_weights(settings, data, fitting)
        batches, val = shuffled(part(data, "train"), seed), part(data, "val")
        optimizer = make_optimizer(trained, settings)
        stepper = Stepper(optimizer, settings, device, passes_of(batches), fitting, about, teacher=teacher)
        while not stepper.finished(done):
            train_loss = _train_once(model, batches, stepper)
            found = score(model, val, device=device, task=judged, about=about, output=fitting.output)
            epoch = Epoch(len(done) + 1, train_loss, found.values)
            if (wrong := diverged(epoch, settings.learning_rate)) is not None:
                raise wrong
            done.append(epoch)
            if best_of(done, judged) is done[-1]:
                best.update(_copy(model))
            if progress is not None:
                progress(done[-1])
    return History(tuple(done), judged)


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
    total, seen = 0.0, 0
    for block in blocks_of_pass(loader, stepper):
        loss = stepper.loss(run, block)
        stepper.backward(loss)
        stepper.apply()
        total += loss.item() * len(block)
        seen += len(block)
    return total / seen


def blocks_of_pass(loader: Iterable[Any], stepper: Stepper) -> Iterator[DataBlock]:
    """The batches of one pass, a step each, while there are steps left; UserError where there are none."""
    largest, seen = 0, False
    for block in stepper.batches(loader):
        largest = max(largest, len(block))
        if len(block) == 1 < largest:
            continue  # a last batch of one can't be normalised; the next pass leaves out another sample
        if stepper.steps_left <= 0:
            break
        seen = True
        yield block
    if not seen:
        raise UserError("no samples to train on; give the train split a share of the data")


def parameters_to_train(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require a gradient; raises UserError where there are none."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError(f"{type(model).__name__} has no parameters to train; let some require a gradient")
    return trained


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


def diverged(epoch: Epoch, learning_rate: float) -> UserError | None:
    """What is wrong with an epoch whose losses are no finite numbers; None with any other."""
    if all(map(math.isfinite, (epoch.train_loss, *epoch.values.values()))):
        return None
    values = dict(epoch.values)
    judged = values.get("loss", next(iter(values.values())))
    return UserError(
        f"training diverged in epoch {epoch.number}: the loss is {epoch.train_loss:g} in training and "
        f"{judged:g} in validation; lower learning_rate (now {learning_rate:g})"
    )
