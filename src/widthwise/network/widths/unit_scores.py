"""How much each unit of a group matters: by its weights, its norm's scale, or what the loss would lose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from widthwise.core.arrays import FloatArray
from widthwise.core.errors import UserError, unknown
from widthwise.data.facts import part
from widthwise.data.modules import Data
from widthwise.network.reading import batches_of, called
from widthwise.network.widths.groups import Group, Groups, Layout, Member
from widthwise.network.widths.kinds import axes, blocks, is_transposed_linear

Importance = Literal["magnitude", "batch_norm", "taylor"]
IMPORTANCES = get_args(Importance)
TAYLOR_BATCHES = 4

Loss = Callable[[Tensor, Tensor], Tensor]  # of what a network returns for a batch, and its targets
PerParameter = Callable[[Tensor], Tensor]  # a parameter to the importance of each of its elements


def unit_scores(
    model: nn.Module,
    groups: Groups,
    *,
    how: Importance = "magnitude",
    data: Data | None = None,
    device: str = "cpu",
    loss: Loss = cross_entropy,
) -> dict[str, FloatArray]:
    """Each group's name to the importance of its units, [size]; higher matters more.

    magnitude: squared weights that make and read the unit, each layer's relative to its mean (Li et al.
    2017, over the group as in Fang et al. 2023). batch_norm: the squared scale of its batch norms (Liu et al.
    2017), or magnitude in groups without one. taylor: |sum of weight times gradient|, the change of the loss
    if the unit went, to first order, on training batches of `data` (Molchanov et al. 2019). Raises UserError
    where taylor has no data. `loss` is that of a task; by default that of class scores.
    """
    if how not in IMPORTANCES:
        raise unknown("importance", how, IMPORTANCES)
    if how == "taylor":
        gradients = _gradients(model, data, device, loss)
        return _scores(model, groups, lambda p: p.detach().cpu() * gradients[id(p)], signed=True)
    scores = _scores(model, groups, lambda p: p.detach().cpu() ** 2)
    if how == "batch_norm":
        scores |= _norm_scores(model, groups)
    return scores


def _scores(
    model: nn.Module, groups: Groups, element: PerParameter, *, signed: bool = False
) -> dict[str, FloatArray]:
    modules = dict(model.named_modules())
    totals = {group.name: np.zeros(group.size) for group in groups.groups}
    for group in groups.groups:
        number = groups.index(group)
        for member in group.members:
            module = modules.get(member.owner)
            if module is None or not _has_weights(module, member):
                continue
            values = _per_channel(module, member, element)
            found = _per_unit(values, groups.layouts[member], number, group)
            if signed:
                found = np.abs(found)
            mean = found.mean()
            totals[group.name] += found if signed or mean == 0 else found / mean
    return totals


def _has_weights(module: nn.Module, member: Member) -> bool:
    grouped = isinstance(module, _ConvNd) and blocks(module) > 1 and member.side == "in"
    weighted = isinstance(module, nn.Linear | _ConvNd | nn.Embedding) or is_transposed_linear(module)
    weighted = weighted and not grouped
    return weighted and not (member.side == "in" and axes(module)["weight"].inputs is None)


def _per_channel(module: nn.Module, member: Member, element: PerParameter) -> Tensor:
    """Sums over each channel's elements of the layer's weight, [channels]."""
    axis = axes(module)["weight"]
    at = axis.inputs if member.side == "in" else axis.out
    weight = module.weight
    assert isinstance(weight, Tensor)
    values = element(weight)
    if at is None:
        return values.sum()
    if at != 0 and isinstance(module, _ConvNd) and blocks(module) > 1:  # transposed and grouped
        parts = values.reshape(blocks(module), -1, *values.shape[1:])  # [groups, inputs, outputs, ...]
        return parts.transpose(1, 2).flatten(0, 1).flatten(1).sum(1)
    return values.movedim(at, 0).flatten(1).sum(1)


def _per_unit(values: Tensor, layout: Layout, number: int, group: Group) -> FloatArray:
    here = layout.group == number
    channels = values.numpy().astype(np.float64)[here]
    return np.bincount(layout.unit[here], weights=channels, minlength=group.size).astype(np.float64)


def _norm_scores(model: nn.Module, groups: Groups) -> dict[str, FloatArray]:
    """Of the groups that have batch norms with a scale."""
    modules = dict(model.named_modules())
    found: dict[str, FloatArray] = {}
    for group in groups.groups:
        for member in group.members:
            module = modules.get(member.owner)
            if isinstance(module, _BatchNorm) and module.affine:
                scale = module.weight.detach().cpu() ** 2
                score = _per_unit(scale, groups.layouts[member], groups.index(group), group)
                found[group.name] = found.get(group.name, np.zeros(group.size)) + score
    return found


def _gradients(model: nn.Module, data: Data | None, device: str, loss: Loss) -> Mapping[int, Tensor]:
    """Gradients of the loss over a few training batches, by identity of the parameter; no trace is left."""
    if data is None:
        raise UserError("importance taylor needs data to take gradients on; give data, or take magnitude")
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    wanted = [p.requires_grad for p in parameters]
    was_training, home = model.training, next(model.parameters()).device
    model.eval().to(device).requires_grad_(True)
    try:
        sums = [torch.zeros_like(p) for p in parameters]
        for block in islice(batches_of(model, part(data, "train"), device=device), TAYLOR_BATCHES):
            lost = loss(called(model, block), block.targets)
            found = torch.autograd.grad(lost, parameters, allow_unused=True)
            sums = [total if g is None else total + g for total, g in zip(sums, found, strict=True)]
    finally:
        model.train(was_training).to(home)
        for parameter, needs in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(needs)
    return {id(p): total.cpu() for p, total in zip(parameters, sums, strict=True)}
