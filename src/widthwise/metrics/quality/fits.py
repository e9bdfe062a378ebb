"""Whether a network and its data fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.facts import DataFacts, facts_of, part
from widthwise.data.modules import Data
from widthwise.metrics.quality.task import Task
from widthwise.metrics.quality.tasks import CLASSIFICATION, task_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_data_fits_model(model: nn.Module, data: Data, task: Task | str = CLASSIFICATION) -> None:
    """Runs one validation batch; UserError where the network can't take it, or can't be judged by it."""
    judged, about = task_of(task), facts_of(data)
    x, y = _first_batch(data, about)
    outputs = _outputs(model, x, judged, about)
    if outputs.ndim == 0 or len(outputs) != len(x):
        raise UserError(
            f"{about.title}: the network gives {list(outputs.shape)} for {len(x)} samples of shape "
            f"{list(x.shape[1:])}; it must give one row for each, [{len(x)}, ...]"
        )
    judged.check(y, tuple(outputs.shape[1:]), about.seen(x, y))


def _first_batch(data: Data, about: DataFacts) -> tuple[Tensor, Tensor]:
    """The first validation batch, x [n, ...] and y [n, ...]; UserError where there is no such thing."""
    import torch

    try:
        batch = next(iter(part(data, "val")), None)
    except UserError:
        raise
    except Exception as error:  # a data module of the user's own may raise anything
        raise UserError(f"{about.title}: its val_dataloader raised {describe_error(error)}") from error
    if batch is None:
        raise UserError(
            f"{about.title}: its val_dataloader has no batches; networks are judged on them, so give some"
        )
    parts: list[object] = list(batch) if isinstance(batch, tuple | list) else [batch]
    if len(parts) != 2 or not all(isinstance(found, torch.Tensor) for found in parts):
        kinds = ", ".join(type(found).__name__ for found in parts)
        raise UserError(f"{about.title}: its batches are ({kinds}); give two tensors, x [n, ...] and y [n]")
    x, y = batch
    if y.ndim == 0 or len(y) != len(x) or not len(y):
        kind = str(y.dtype).removeprefix("torch.")
        raise UserError(
            f"{about.title}: its labels are {kind} of shape {list(y.shape)} for x of shape {list(x.shape)}; "
            "give one for each sample"
        )
    return x, y


def _outputs(model: nn.Module, x: Tensor, task: Task, about: DataFacts) -> Tensor:
    import torch

    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            result = model(x.to(device))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = _first_layer_misfit(model, x) or f"it raised {describe_error(error)}"
        raise UserError(
            f"{about.title}: samples of shape {list(x.shape[1:])} don't fit the network: {reason}; take "
            "other data, or flatten images for an MLP"
        ) from error
    finally:
        model.train(was_training)
    if isinstance(result, tuple | list):
        raise UserError(
            f"the network returns a {type(result).__name__}; it must return a tensor [samples, ...]"
        )
    return task.outputs(result)


def _first_layer_misfit(model: nn.Module, x: Tensor) -> str | None:
    """What the first layer with a known number of inputs takes, unless the samples may have that number."""
    for name, module in model.named_modules():
        for attribute in ("in_features", "num_features", "in_channels"):
            count = getattr(module, attribute, None)
            if isinstance(count, int):
                if count in x.shape[1:]:
                    return None
                unit = attribute.partition("_")[2]
                return f"its first layer ({name}, {type(module).__name__}) takes {count} {unit}"
    return None
