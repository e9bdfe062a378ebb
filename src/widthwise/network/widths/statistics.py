"""Batch-norm statistics, measured anew after widths have changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from widthwise.data.blocks import DataBlock
from widthwise.network.calling import takes_of
from widthwise.network.exactness import is_scale
from widthwise.network.reading import batches_of, called


def reestimate_norms(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    device: str = "cpu",
    samples: int | None = None,
) -> int:
    """Sets the running mean and variance of all batch norms to the average over a pass; the number of norms.

    At most `samples` samples are taken, of all batches of more than one. Everything but the norms is in eval
    mode meanwhile; the modes are as before afterwards. Source: Yu and Huang 2019 (US-Nets, post-statistics).
    """
    found = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    norms = [norm for norm in found if not is_scale(norm)]  # what folding left has nothing to measure
    if not norms:
        return 0
    batches = batches_of(model, loader, device=device)
    modes = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average
        norm.train()
    try:
        _pass(model, batches, samples)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    return len(norms)


def _pass(model: nn.Module, batches: Iterable[DataBlock], samples: int | None) -> None:
    seen, takes = 0, takes_of(model)
    with torch.no_grad():
        for block in batches:
            if len(block) < 2:
                continue
            called(model, block, takes)
            seen += len(block)
            if samples is not None and seen >= samples:
                return
