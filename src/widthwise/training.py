"""Training a network in place, and how well it does on a loader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from widthwise.data import Data
from widthwise.errors import UserError, unknown
from widthwise.importing import describe_error
from widthwise.models import check_data_fits_model

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
OptimizerName = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy and share of correct answers over all samples of a loader."""

    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data led to; `number` counts from 1."""

    number: int
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class History:
    """All epochs of a training in order; the weights kept are those of the best one."""

    epochs: tuple[Epoch, ...]

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy; among equals that with the lowest loss."""
        return max(self.epochs, key=_rank)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch, counted from 1."""
        return self.best.number

    @property
    def train_loss(self) -> tuple[float, ...]:
        """Mean training loss of each epoch."""
        return tuple(epoch.train_loss for epoch in self.epochs)

    @property
    def val_loss(self) -> tuple[float, ...]:
        """Validation loss after each epoch."""
        return tuple(epoch.val_loss for epoch in self.epochs)

    @property
    def val_accuracy(self) -> tuple[float, ...]:
        """Validation accuracy after each epoch."""
        return tuple(epoch.val_accuracy for epoch in self.epochs)


def fit(
    model: nn.Module,
    data: Data,
    *,
    epochs: int = 100,
    learning_rate: float = 2e-2,
    seed: int = 0,
    device: str = "cpu",
    optimizer: OptimizerName = "adam",
    progress: Callable[[Epoch], None] | None = None,
) -> History:
    """Trains the model in place by cross-entropy, the learning rate falling to 0 along a cosine.

    Afterwards the model holds the weights of the best epoch by validation accuracy, is in eval mode and on
    the device it came from; the global random state is as before. The same seed, model and data give the same
    weights. `progress` is called after each epoch. An interruption leaves the best weights so far, as does
    the UserError raised when a loss is no finite number. Also raises UserError for settings out of range and
    data that doesn't fit the model.
    """
    import torch

    _check_settings(epochs, learning_rate, optimizer, device)
    trained = _parameters_to_train(model)
    done: list[Epoch] = []
    with _at_work(model, device, seed) as best:
        check_data_fits_model(model, data)
        train, val = data.train_dataloader(), data.val_dataloader()
        steps = getattr(torch.optim, OPTIMIZERS[optimizer])(trained, lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(steps, T_max=epochs)
        for number in range(1, epochs + 1):
            train_loss = _train_once(model, train, steps, device)
            schedule.step()
            result = score(model, val, device=device)
            _check_losses(number, train_loss, result.loss, learning_rate)
            done.append(Epoch(number, train_loss, result.loss, result.accuracy))
            if max(done, key=_rank) is done[-1]:
                best.update(_copy(model))
            if progress is not None:
                progress(done[-1])
    return History(tuple(done))


def predict(
    model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], *, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Scores [samples, classes] in eval mode and labels [samples] over the whole loader, on the CPU."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            batches = [(model(x.to(device)).cpu(), y.cpu()) for x, y in loader]
    finally:
        model.train(was_training)
    if not batches:
        raise UserError("no samples to judge the network on; give the split a share of the data")
    scores, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    return scores, labels


def score(model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], *, device: str = "cpu") -> Score:
    """Loss and accuracy over the whole loader; raises UserError for labels beyond the network's outputs."""
    from torch.nn.functional import cross_entropy

    scores, labels = predict(model, loader, device=device)
    _check_labels(labels, scores)
    correct = (scores.argmax(dim=1) == labels).double().mean()
    return Score(float(cross_entropy(scores, labels)), float(correct), len(labels))


def _train_once(
    model: nn.Module, loader: Iterable[tuple[Tensor, Tensor]], steps: Optimizer, device: str
) -> float:
    """One pass with an optimiser step a batch; the mean loss over the samples."""
    from torch.nn.functional import cross_entropy

    model.train()
    total, seen, largest = 0.0, 0, 0
    for x, y in loader:
        largest = max(largest, len(y))
        if len(y) == 1 < largest:
            continue  # a last batch of one can't be normalised; the next pass leaves out another sample
        scores = _forward(model, x.to(device))
        _check_labels(y, scores)
        loss = cross_entropy(scores, y.to(device))
        steps.zero_grad(set_to_none=True)
        loss.backward()
        steps.step()
        total += loss.item() * len(y)
        seen += len(y)
    if not seen:
        raise UserError("no samples to train on; give the train split a share of the data")
    return total / seen


def _parameters_to_train(model: nn.Module) -> list[nn.Parameter]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError(f"{type(model).__name__} has no parameters to train; let some require a gradient")
    return trained


def _forward(model: nn.Module, x: Tensor) -> Tensor:
    try:
        scores: Tensor = model(x)
    except ValueError as error:  # from normalisation, where the batch size is 1
        raise UserError(
            f"training on a batch of {len(x)} failed: {describe_error(error)}; take a larger batch_size"
        ) from error
    return scores


@contextmanager
def _at_work(model: nn.Module, device: str, seed: int) -> Iterator[dict[str, Tensor]]:
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


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_accuracy, -epoch.val_loss


def _check_labels(labels: Tensor, scores: Tensor) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise UserError(
            f"label {low if low < 0 else high} is out of range; the network has {scores.shape[1]} outputs, "
            f"so labels run from 0 to {scores.shape[1] - 1}"
        )


def _check_losses(number: int, train_loss: float, val_loss: float, learning_rate: float) -> None:
    if not math.isfinite(train_loss + val_loss):
        raise UserError(
            f"training diverged in epoch {number}: the loss is {train_loss:g} in training and {val_loss:g} "
            f"in validation; lower learning_rate (now {learning_rate:g})"
        )


def _check_settings(epochs: int, learning_rate: float, optimizer: str, device: str) -> None:
    import torch

    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"epochs = {epochs!r} is no whole number from 1")
    if isinstance(learning_rate, bool) or not 0 < learning_rate < math.inf:
        raise UserError(f"learning_rate = {learning_rate!r} is no number above 0")
    if optimizer not in OPTIMIZERS:
        raise unknown("optimizer", optimizer, OPTIMIZERS)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        raise UserError(f"device {device!r} can't be used here: {describe_error(error)}; use cpu") from error
