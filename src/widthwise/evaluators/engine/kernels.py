"""Kernels: what one step computes for all its versions at once.

A kernel is called with the stacks that it reads, for each of them the version that each result is made from
(`picks`, [V] each), and the choices of its own slots ([V, slots]); results are sorted by picks, then choices.
Its `one` computes a single version from single versions, none of which has the axis of versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.node import map_aggregate
from torch.utils._pytree import tree_map_only

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.parameters import Choice, Layers, Parameter
from widthwise.evaluators.engine.stacks import folded, gather, put, select, stacked, version
from widthwise.formats.base import Format
from widthwise.network.computing import quantize_input
from widthwise.network.operands import Operand
from widthwise.network.quantized import run_layer
from widthwise.network.scheme import Scheme, TensorName
from widthwise.network.stored_tensors import StoredTensors


class Kernel(Protocol):
    """Versions of inputs and choices of slots to the versions of a step's value."""

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any: ...

    def one(self, values: Sequence[Any], choice: Choice) -> Any: ...


@dataclass(frozen=True)
class Quantise:
    """A tensor as a layer reads it, one slot; None keeps float."""

    formats: tuple[Format | None, ...]
    elementwise: tuple[bool, ...]  # by format: whether each element is rounded by itself

    @classmethod
    def of(cls, formats: tuple[Format | None, ...]) -> Quantise:
        """The kernel of a slot with these formats."""
        return cls(formats, tuple(fmt is not None and fmt.elementwise for fmt in formats))

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any:
        (stack,), (pick,) = stacks, picks
        if not isinstance(stack, Tensor):
            return self._nested(stack, pick, choices)
        result: Tensor | None = None
        for choice, rows in _groups(choices):
            part = self._quantized(int(choice[0]), select(stack, pick[rows]))
            result = put(result, rows, part, len(pick))
        assert result is not None
        return result

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        (value,), fmt = values, self.formats[choice[0]]
        if fmt is None:
            return value
        if isinstance(value, Tensor):
            return fmt.quantize(value)
        return tree_map_only(Tensor, partial(quantize_input, fmt), value)

    def _quantized(self, choice: int, stack: Tensor) -> Tensor:
        fmt = self.formats[choice]
        if fmt is None:
            return stack
        if self.elementwise[choice]:
            return fmt.quantize(stack)
        return torch.stack([fmt.quantize(x) for x in stack])

    def _nested(self, value: Any, pick: IntArray, choices: IntArray) -> Any:
        """The tensors of a tuple that the layer reads as one, as those of a split are."""
        results = []
        for row, (choice,) in zip(pick, choices, strict=True):
            fmt, one = self.formats[choice], version(value, int(row))
            results.append(one if fmt is None else tree_map_only(Tensor, partial(quantize_input, fmt), one))
        return stacked(results)


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
        for choice, rows in _groups(choices):
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


@dataclass(frozen=True)
class Pointwise:
    """A function of one tensor, element by element, on the whole stack."""

    call: Callable[[Tensor], Tensor]

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        return self.call(select(stacks[0], picks[0]))

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        return self.call(values[0])


@dataclass(frozen=True)
class Arithmetic:
    """An operator of two tensors of equal rank, on both stacks."""

    call: Callable[[Tensor, Tensor], Tensor]
    order: tuple[int, int]  # which of the inputs is the left and which the right operand

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        left, right = (gather(stacks[i], picks[i]) for i in self.order)
        result = self.call(left, right)
        total = len(picks[0])
        return result if len(result) == total else result.expand(total, *result.shape[1:])

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        return self.call(values[self.order[0]], values[self.order[1]])


@dataclass(frozen=True)
class Folded:
    """A layer of one tensor that acts on each sample alone, with its parameters in versions."""

    layers: Layers

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        result: Tensor | None = None
        for choice, rows in _groups(choices):
            part = folded(self.layers.of(choice), gather(stacks[0], picks[0][rows]))
            result = put(result, rows, part, len(picks[0]))
        assert result is not None
        return result

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        result: Tensor = self.layers.run_alone(choice, values[0])
        return result


@dataclass(frozen=True)
class EachVersion:
    """Any call at all, once for each version, exactly as the network makes it.

    dense: the inputs that have to lie in memory in the order of their axes, as the network itself has them.
    """

    layers: Layers
    args: tuple[Any, ...]  # with `Read(i)` for the i-th input
    kwargs: Mapping[str, Any]
    dense: frozenset[int] = frozenset()

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any:
        results = []
        for row, choice in enumerate(choices):
            values = [version(stack, int(pick[row])) for stack, pick in zip(stacks, picks, strict=True)]
            results.append(self._called(self.layers.of(choice), values))
        return stacked(results)

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        given = [x.contiguous() if index in self.dense else x for index, x in enumerate(values)]
        return self._called(self.layers.alone(choice), given)

    def _called(self, call: Callable[..., Any], values: Sequence[Any]) -> Any:
        if self._flat:
            args = [values[leaf.index] if isinstance(leaf, Read) else leaf for leaf in self.args]
            return call(*args, **self.kwargs)
        args, kwargs = filled((self.args, self.kwargs), values)
        return call(*args, **kwargs)

    @cached_property
    def _flat(self) -> bool:
        """Whether every argument that is read stands by itself, among the positional ones."""
        held = tuple(leaf for leaf in self.args if not isinstance(leaf, Read))
        return not reads_in((held, self.kwargs))


@dataclass(frozen=True)
class StoredVersions:
    """A weight or bias that a function reads, in the formats of one slot."""

    parameter: Parameter

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Tensor:
        made = [self.parameter[int(choice)] for choice in choices[:, 0]]
        return made[0].unsqueeze(0) if len(made) == 1 else torch.stack(made)

    def one(self, values: Sequence[Any], choice: Choice) -> Tensor:
        return self.parameter[int(choice[0])]


@dataclass(frozen=True)
class WholeLayer:
    """A layer that applies its formats itself, once for each version."""

    layer: nn.Module
    of: Sequence[Operand]
    args: tuple[Any, ...]  # with `Read(i)` for the i-th input
    kwargs: Mapping[str, Any]
    formats: Mapping[TensorName, tuple[Format | None, ...]]  # of its own slots, in their order
    stored: StoredTensors = field(default_factory=StoredTensors)

    def __call__(self, stacks: Sequence[Any], picks: Sequence[IntArray], choices: IntArray) -> Any:
        results = []
        for row, choice in enumerate(choices):
            values = [version(stack, int(pick[row])) for stack, pick in zip(stacks, picks, strict=True)]
            results.append(self.one(values, choice))
        return stacked(results)

    def one(self, values: Sequence[Any], choice: Choice) -> Any:
        args, kwargs = filled((self.args, self.kwargs), values)
        own = {tensor: fmts[at] for (tensor, fmts), at in zip(self.formats.items(), choice, strict=True)}
        return run_layer(self.layer, Scheme(**own), self.stored, args, kwargs, self.of)


@dataclass(frozen=True)
class Read:
    """Stands in arguments for the value of the i-th input."""

    index: int


def reads_in(arguments: Any) -> list[Read]:
    """Every `Read` in the arguments, those inside slices included."""
    found: list[Read] = []
    map_aggregate(arguments, lambda leaf: found.append(leaf) if isinstance(leaf, Read) else None)
    return found


def filled(arguments: Any, values: Sequence[Any]) -> Any:
    """The arguments with values in place of every `Read`."""
    return map_aggregate(arguments, lambda leaf: values[leaf.index] if isinstance(leaf, Read) else leaf)


def _groups(choices: IntArray) -> list[tuple[IntArray, IntArray]]:
    """Each distinct row of choices with the rows that have it, ascending."""
    if len(choices) == 1 or not choices.shape[1]:
        return [(choices[0], np.arange(len(choices)))]
    if choices.shape[1] == 1:
        distinct, which = np.unique(choices[:, 0], return_inverse=True)
        distinct = distinct[:, None]
    else:
        distinct, which = np.unique(choices, axis=0, return_inverse=True)
    if len(distinct) == 1:
        return [(distinct[0], np.arange(len(choices)))]
    order = np.argsort(which, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(which))[:-1])
    return list(zip(distinct, parts, strict=True))
