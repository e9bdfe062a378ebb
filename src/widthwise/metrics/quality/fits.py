"""Whether a network and its data fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.data.modules import Data, data_note

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_data_fits_model(model: nn.Module, data: Data) -> None:
    """Runs one validation batch; raises UserError where the network can't take it or has too few outputs."""
    x, y = _first_batch(data)
    scores = _scores(model, x, data)
    classes = getattr(data, "classes", int(y.max()) + 1)
    if scores.ndim != 2 or len(scores) != len(x):
        raise UserError(
            f"{data_note(data)}: the network gives {list(scores.shape)} for {len(x)} samples of shape "
            f"{list(x.shape[1:])}; it must give [{len(x)}, classes]"
        )
    if scores.shape[1] < classes:
        raise UserError(
            f"{data_note(data)}: has {classes} classes but the network only {scores.shape[1]} outputs; widen "
            "its last layer or take other data"
        )


def _first_batch(data: Data) -> tuple[Tensor, Tensor]:
    """The first validation batch, x [n, ...] and y [n]; UserError where there is none, or something else."""
    import torch

    note = data_note(data)
    try:
        batch = next(iter(data.val_dataloader()), None)
    except UserError:
        raise
    except Exception as error:  # a data module of the user's own may raise anything
        raise UserError(f"{note}: its val_dataloader raised {describe_error(error)}") from error
    if batch is None:
        raise UserError(
            f"{note}: its val_dataloader has no batches; networks are judged on them, so give some"
        )
    parts: list[object] = list(batch) if isinstance(batch, tuple | list) else [batch]
    if len(parts) != 2 or not all(isinstance(part, torch.Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise UserError(f"{note}: its batches are ({kinds}); give two tensors, x [n, ...] and y [n]")
    x, y = batch
    if y.ndim != 1 or len(y) != len(x) or not len(y) or y.is_floating_point() or y.is_complex():
        kind = str(y.dtype).removeprefix("torch.")
        raise UserError(
            f"{note}: its labels are {kind} of shape {list(y.shape)} for x of shape {list(x.shape)}; give "
            "whole numbers [n], the class of each sample"
        )
    return x, y


def _scores(model: nn.Module, x: Tensor, data: Data) -> Tensor:
    import torch

    device = next((tensor.device for tensor in model.state_dict().values()), x.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            scores = model(x.to(device))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        reason = _first_layer_misfit(model, x) or f"it raised {describe_error(error)}"
        raise UserError(
            f"{data_note(data)}: samples of shape {list(x.shape[1:])} don't fit the network: {reason}; take "
            "other data, or flatten images for an MLP"
        ) from error
    finally:
        model.train(was_training)
    if not isinstance(scores, torch.Tensor):
        raise UserError(
            f"the network returns a {type(scores).__name__}; it must return a tensor [samples, classes]"
        )
    return scores


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
