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

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.arguments import Read, filled, reads_in
from widthwise.evaluators.engine.parameters import Choice, Layers, Parameter, grouped
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
        for choice, rows in grouped(choices):
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
        for choice, rows in grouped(choices):
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
