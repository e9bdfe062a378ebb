"""The tensors of a resized layer, as differentiable slices of those of the old one."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from widthwise.network.widths.channels import Channels
from widthwise.network.widths.kinds import Axes, axes, blocks


def sliced(
    module: nn.Module, inputs: Channels | None, outputs: Channels | None, generator: torch.Generator
) -> dict[str, Tensor]:
    """The tensors of a layer that change, by name, with the channels of its two sides (None: as they are).

    A slice has the gradient of what it was cut from. Values at new units are left to `fresh`.
    """
    if isinstance(module, nn.MultiheadAttention):
        return _attention(module, outputs, generator) if outputs is not None else {}
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return _recurrent(module, inputs, outputs, generator)
    found = {}
    for name, axis in axes(module).items():
        tensor = getattr(module, name, None)
        if not isinstance(tensor, Tensor):
            continue
        if blocks(module) > 1 and name == "weight" and isinstance(module, _ConvNd):
            found[name] = _grouped(tensor, module, inputs, outputs, generator)
        else:
            found[name] = _plain(tensor, axis, inputs, outputs, generator)
    return found


def _plain(
    tensor: Tensor, axis: Axes, inputs: Channels | None, outputs: Channels | None, generator: torch.Generator
) -> Tensor:
    if outputs is not None and axis.out is not None:
        tensor = outputs.take(tensor, axis.out)
    if inputs is not None and axis.inputs is not None:
        tensor = inputs.take(tensor, axis.inputs)
        if inputs.split:
            tensor = tensor * _shares(tensor, axis, inputs, generator)
    return tensor


def _shares(tensor: Tensor, axis: Axes, inputs: Channels, generator: torch.Generator) -> Tensor:
    """Shares of every copy for every output, in the shape of the weight."""
    assert axis.inputs is not None
    rows = 1 if axis.out is None else tensor.shape[axis.out]
    shares = inputs.shares(rows, generator).to(tensor)  # [outputs, inputs]
    if axis.inputs == 0:
        shares = shares.T
    return shares.reshape(*shares.shape, *[1] * (tensor.ndim - 2))


def _grouped(
    weight: Tensor,
    module: _ConvNd,
    inputs: Channels | None,
    outputs: Channels | None,
    generator: torch.Generator,
) -> Tensor:
    """The weight of a grouped convolution, whose channels are cut block by block."""
    count = module.groups
    # rows are the whole side, columns a block's part of the other: [outputs, inputs / groups], or transposed
    row_side, column_side = (inputs, outputs) if module.transposed else (outputs, inputs)
    columns = (module.out_channels if module.transposed else module.in_channels) // count
    if row_side is not None:
        weight = row_side.take(weight, 0)
    made = _split_first(weight, count)  # [groups, rows of a block, columns, ...]
    if column_side is not None:
        local = _split_first(column_side.index.to(weight.device), count)
        local = local - columns * torch.arange(count, device=weight.device)[:, None]
        made = torch.stack([part.index_select(1, chosen) for part, chosen in zip(made, local, strict=True)])
    if inputs is not None and inputs.split:
        made = made * _block_shares(made, inputs, module.transposed, generator)
    return made.flatten(0, 1)


def _block_shares(made: Tensor, inputs: Channels, transposed: bool, generator: torch.Generator) -> Tensor:
    count, rows, columns = made.shape[:3]
    outputs = columns if transposed else rows
    shares = inputs.shares(outputs, generator).to(made)  # [outputs of a block, all inputs]
    shares = shares.reshape(len(shares), count, -1).transpose(0, 1)  # [groups, outputs, inputs of a block]
    if transposed:
        shares = shares.transpose(1, 2)
    return shares.reshape(*shares.shape, *[1] * (made.ndim - 3))


def _split_first(tensor: Tensor, count: int) -> Tensor:
    """[n, ...] as [count, n / count, ...]."""
    return tensor.reshape(count, -1, *tensor.shape[1:])


def _attention(
    module: nn.MultiheadAttention, side: Channels, generator: torch.Generator
) -> dict[str, Tensor]:
    """Projections whose inputs, heads and outputs all have the channels of one side.

    Scores are divided by the root of a head's width, so the queries make up for its change; a copy of a
    channel counts among the scores again, so the queries share it out.
    """
    width = module.embed_dim
    weight = _split_first(module.in_proj_weight, 3)  # [query key value, out, in]
    parts = side.take(side.take(weight, 1), 2)
    query_scale = torch.full((side.size,), math.sqrt(side.size / width))
    if side.split:
        shares = torch.stack([side.shares(side.size, generator) for _ in range(3)]).to(parts)
        parts = parts * shares
        query_scale = query_scale * side.shares(1, generator)[0]
    scale = torch.ones(3, side.size)
    scale[0] = query_scale
    scale = scale.to(parts)
    found = {"in_proj_weight": (parts * scale[:, :, None]).flatten(0, 1)}
    if module.in_proj_bias is not None:
        bias = side.take(_split_first(module.in_proj_bias, 3), 1)
        found["in_proj_bias"] = (bias * scale).flatten()
    out = module.out_proj
    projected = _plain(out.weight, Axes(0, 1), side, side, generator)
    found["out_proj.weight"] = projected
    if out.bias is not None:
        found["out_proj.bias"] = side.take(out.bias, 0)
    return found


def _recurrent(
    module: nn.RNNBase | nn.RNNCellBase,
    inputs: Channels | None,
    outputs: Channels | None,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Weights whose rows are a block of all hidden units for each gate, and that read inputs or hidden units.

    Layers after the first read the hidden units of each direction.
    """
    units = module.hidden_size
    tensors = dict(module.named_parameters())
    gates = next(x for name, x in tensors.items() if name.startswith("weight_hh")).shape[0] // units
    rows = None if outputs is None else _repeated(outputs, gates, units)
    directions = 2 if getattr(module, "bidirectional", False) else 1
    hidden = None if outputs is None else _repeated(outputs, directions, units)
    found = {}
    for name, tensor in tensors.items():
        reads = None
        if name.startswith("weight_hh"):
            reads = outputs
        elif name.startswith("weight_ih"):
            reads = inputs if name in ("weight_ih", "weight_ih_l0", "weight_ih_l0_reverse") else hidden
        axis = Axes(0, 1 if name.startswith("weight") else None)
        found[name] = _plain(tensor, axis, reads, rows, generator)
    return found


def _repeated(side: Channels, times: int, size: int) -> Channels:
    """The channels of a side that stand there several times, one block after the other."""
    return Channels(torch.cat([side.index + block * size for block in range(times)]), side.split)
