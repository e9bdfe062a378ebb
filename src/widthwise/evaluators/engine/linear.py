"""Kernels of plain linear layers: all versions of inputs by all of weights in few matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.parameters import Choice, Parameter, grouped
from widthwise.evaluators.engine.stacks import gather, put, select


@dataclass(frozen=True)
class MatrixProduct:
    """x W^T for inputs [samples, in] and weight versions [out, in], put side by side where all meet all.

    Results lie in memory as [versions, out, samples], so that the versions of several weights need no
    transposing; their shape is [versions, samples, out] all the same.
    """

    weight: Parameter

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        (stack,), (pick,) = stacks, picks
        used = _grid_choices(pick, choices)
        if used is not None:
            return self._product(select(stack, pick[:: len(used)]), used)
        result: Tensor | None = None
        for choice, rows in grouped(choices):
            part = self._product(gather(stack, pick[rows]), choice)
            result = put(result, rows, part, len(pick))
        assert result is not None
        return result

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        return torch.mm(self.weight[choice[0] if len(choice) else 0], values[0].t()).t()

    def _product(self, stack: Tensor, choices: IntArray) -> Tensor:
        """Every input version times every weight version, the latter changing fastest."""
        weights = [self.weight[int(choice)] for choice in choices]
        out, wide = weights[0].shape
        side_by_side = weights[0] if len(weights) == 1 else torch.cat(weights)
        if stack.shape[0] == 1:
            product = torch.mm(side_by_side, stack[0].t()).unsqueeze(0)
        else:
            product = torch.bmm(side_by_side.expand(len(stack), -1, wide), stack.transpose(1, 2))
        return product.view(stack.shape[0] * len(weights), out, -1).transpose(1, 2)


@dataclass(frozen=True)
class AddBias:
    """Adds bias versions [out] to stacks of shape [versions, samples, out] that MatrixProduct made."""

    bias: Parameter

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        (stack,), (pick,) = stacks, picks
        used = _grid_choices(pick, choices)
        if used is not None:
            rows = select(stack, pick[:: len(used)]).transpose(1, 2)
            biases = self._biases(used).view(1, len(used), -1, 1)
            summed = rows.unsqueeze(1) + biases  # [inputs, biases, out, samples]
            return summed.flatten(0, 1).transpose(1, 2)
        biases = self._biases(choices[:, 0]).unsqueeze(2)
        return (gather(stack, pick).transpose(1, 2) + biases).transpose(1, 2)

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        product: Tensor = values[0].t()
        return (product + self.bias[choice[0] if len(choice) else 0].unsqueeze(1)).t()

    def _biases(self, choices: IntArray) -> Tensor:
        return torch.stack([self.bias[int(choice)] for choice in choices])


def _grid_choices(pick: IntArray, choices: IntArray) -> IntArray | None:
    """The distinct choices [C] of a single slot, where the sorted pairs are all inputs with all of them.

    None where some pairs are missing. Without a slot of its own a step has one choice, 0.
    """
    if not choices.shape[1]:
        return np.zeros(1, dtype=np.int64)
    choice = choices[:, 0]
    if len(choice) == 1:
        return choice
    used = np.unique(choice)
    inputs = pick[:: len(used)]
    if len(inputs) * len(used) != len(pick) or (np.diff(inputs) < 1).any():
        return None
    square = (len(inputs), len(used))
    same_inputs = (pick.reshape(square) == inputs[:, None]).all()
    return used if same_inputs and (choice.reshape(square) == used).all() else None
