"""What is said of samples that a network can't take: why, as its first layer tells, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error

if TYPE_CHECKING:
    import torch

    from widthwise.data.blocks import DataBlock


def misfit(model: nn.Module, block: DataBlock, where: str, error: Exception) -> UserError:
    """The error for samples that a network can't take, which it raised this for."""
    shapes = [x.shape[1:] if block.has_rows else x.shape for x in block.inputs.values()]
    reason = _first_layer_misfit(model, shapes[0]) or f"it raised {describe_error(error)}"
    return UserError(
        f"{where}: samples of shape {', '.join(str(list(shape)) for shape in shapes)} don't fit the network: "
        f"{reason}; {_mend(model, shapes[0])}"
    )


def _mend(model: nn.Module, shape: torch.Size) -> str:
    """What makes samples of this shape fit a network, as its first layer tells."""
    first = next((x for x in model.modules() if isinstance(x, (nn.Linear, nn.Conv2d))), None)
    if isinstance(first, nn.Conv2d) and len(shape) == 2:
        return "a convolution takes [channels, height, width]: store grey images as [rows, 1, height, width]"
    if isinstance(first, nn.Linear) and len(shape) > 1:
        return "take other data, or flatten images for an MLP: data.flatten = true, flatten=True in Python"
    return "take other data, or give the network another first layer"


def _first_layer_misfit(model: nn.Module, shape: torch.Size) -> str | None:
    """What the first layer with a known number of inputs takes, unless samples may have that number."""
    for name, module in model.named_modules():
        for attribute in ("in_features", "num_features", "in_channels"):
            count = getattr(module, attribute, None)
            if isinstance(count, int):
                if count in shape:
                    return None
                unit = attribute.partition("_")[2]
                where = f"{name or 'the network itself'}, {type(module).__name__}"
                return f"its first layer ({where}) takes {count} {unit}"
    return None
