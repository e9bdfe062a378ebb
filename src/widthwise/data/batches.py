"""Batches as people have them: tuples, lists and dicts, read into a network's inputs by name and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock
from widthwise.data.names import MASKS

if TYPE_CHECKING:
    from torch import Tensor

LABELS = ("label", "labels", "target", "targets")  # keys of a batch that stand for what is judged by


@dataclass(frozen=True)
class Takes:
    """What a network takes: its inputs by the names of its forward, in order.

    needed: those without a default. keyword: those that go by name alone. more: the name of its *args.
    anything: whether it takes any name (**kwargs).
    """

    names: tuple[str, ...]
    needed: frozenset[str] = frozenset()
    keyword: frozenset[str] = frozenset()
    more: str | None = None
    anything: bool = False

    def name(self, position: int) -> str | None:
        """The name of the input at a position; None where the network takes no so many."""
        names = sorted(self.names, key=lambda name: name in self.keyword)  # those last, in order
        if self.more is None:
            return names[position] if position < len(names) else None
        named = len(names) - len(self.keyword)
        return names[position] if position < named else f"{self.more}_{position - named}"

    def __str__(self) -> str:
        named = [*self.names, *([f"*{self.more}"] if self.more else []), *(["**"] if self.anything else [])]
        return ", ".join(named) or "nothing"


def read_batch(batch: Any, takes: Takes, *, where: str = "the data") -> DataBlock:
    """The inputs and targets of a batch that has both: (x, y), (x1, x2, y), ((x1, x2), y), or by names.

    Of names, `label`, `labels`, `target` or `targets` are the targets, what the network's forward names is an
    input, and whatever else there is (ids, texts) is left out. Arrays and lists of numbers will do for
    tensors. Targets are int64 or floats. Raises UserError for anything else.
    """
    if isinstance(batch, DataBlock):
        return batch
    given, found = _split(batch, where)
    inputs = read_inputs(given, takes, where=where)
    targets = _tensor(found)
    if targets is None:
        raise UserError(
            f"{where}: its batches are {_kinds(batch)}; give tensors (x, y), x [n, ...] and y [n], or a dict "
            f"with one of {', '.join(LABELS)}"
        )
    _check_lengths(inputs, targets, where)
    whole = not (targets.is_floating_point() or targets.is_complex())
    return DataBlock(inputs, targets.long() if whole else targets)


def read_inputs(given: Any, takes: Takes, *, where: str = "the data") -> dict[str, Tensor]:
    """Inputs without targets, by name: of a tensor, several in a tuple or list, or names to them.

    Raises UserError where they are no tensors, or none that the network takes, or lack one that it needs.
    """
    if isinstance(given, Mapping):
        named = _by_name(given, takes, where)
    else:
        values = given if isinstance(given, tuple | list) else [given]
        if len(values) == 1 and isinstance(values[0], tuple | list) and _tensor(values[0]) is None:
            values = values[0]
        if any(value is not None and _tensor(value) is None for value in values):
            raise _no_tensors(given, takes, where)
        named = _by_position(values, takes, where)
    found = {name: _tensor(value) for name, value in named.items() if value is not None}
    if not found or any(value is None for value in found.values()):
        raise _no_tensors(given, takes, where)
    if missing := [name for name in takes.names if name in takes.needed and name not in found]:
        raise UserError(
            f"{where}: its batches hold {', '.join(found)}, but not {', '.join(missing)}, which the network "
            "takes; add it to the batches"
        )
    return {name: value for name, value in found.items() if value is not None}


def has_targets(batch: Any) -> bool:
    """Whether a batch holds targets: under one of their names, or last in a tuple."""
    if isinstance(batch, DataBlock):
        return True
    if isinstance(batch, Mapping):
        return any(batch.get(name) is not None for name in LABELS)
    if not isinstance(batch, tuple | list) or _tensor(batch) is not None:
        return False
    return len(batch) > 1


def given_targets(batch: Any) -> Tensor | None:
    """The targets of a batch that has some, whole numbers as int64; None where they are no tensor."""
    found = _tensor(
        next(batch[name] for name in LABELS if batch.get(name) is not None)
        if isinstance(batch, Mapping)
        else batch[-1]
    )
    return found if found is None or found.is_floating_point() or found.is_complex() else found.long()


def without_targets(batch: Any) -> Any:
    """What is left of a batch that may have targets, as `read_inputs` takes it."""
    if isinstance(batch, Mapping):
        return {name: value for name, value in batch.items() if name not in LABELS}
    if isinstance(batch, tuple | list) and len(batch) > 1:
        return batch[0] if len(batch) == 2 else batch[:-1]
    return batch


def _split(batch: Any, where: str) -> tuple[Any, Any]:
    """Inputs and targets; raises UserError for what has not both."""
    if isinstance(batch, Mapping):
        labels = [name for name in LABELS if batch.get(name) is not None]
        if not labels:
            raise UserError(
                f"{where}: its batches hold {', '.join(map(str, batch))}, but no targets; name them one of "
                f"{', '.join(LABELS)}"
            )
        return without_targets(batch), batch[labels[0]]
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise UserError(
            f"{where}: its batches are {_kinds(batch)}; give two tensors, x [n, ...] and y [n], or a dict of "
            "tensors with labels"
        )
    return without_targets(batch), batch[-1]


def _by_name(given: Mapping[Any, Any], takes: Takes, where: str) -> dict[str, Any]:
    named = [*takes.names, *(name for name in given if takes.more and str(name).startswith(f"{takes.more}_"))]
    found = {name: given[name] for name in named if name in given and name not in LABELS}
    if found:
        return found
    tensors = {str(name): value for name, value in given.items() if _tensor(value) is not None}
    if len(tensors) > 1:  # a network without a mask has no use for one
        tensors = {name: value for name, value in tensors.items() if name not in MASKS}
    if takes.anything and not takes.names:
        return tensors
    first = takes.name(0)
    if first is not None and len(tensors) == 1 and len(takes.needed) <= 1:
        return {first: next(iter(tensors.values()))}
    raise UserError(
        f"{where}: its batches hold {', '.join(map(str, given)) or 'nothing'}, the network takes {takes}; "
        "name the inputs as its forward does"
    )


def _by_position(values: Sequence[Any], takes: Takes, where: str) -> dict[str, Any]:
    names = [takes.name(position) for position in range(len(values))]
    if None in names:
        raise UserError(
            f"{where}: its batches hold {len(values)} inputs before the targets, the network takes "
            f"{takes}; leave out the others"
        )
    return {str(name): value for name, value in zip(names, values, strict=True)}


def _no_tensors(given: Any, takes: Takes, where: str) -> UserError:
    return UserError(
        f"{where}: its batches are no tensors: {_kinds(given)}; give batches (x, y) of tensors, or names to "
        f"tensors: {takes}"
    )


def _check_lengths(inputs: Mapping[str, Tensor], targets: Tensor, where: str) -> None:
    """Raises UserError where no axis of any input has the length of the targets."""
    lengths = {size for x in inputs.values() for size in x.shape}
    if targets.ndim == 0 or not len(targets) or len(targets) not in lengths:
        kind = str(targets.dtype).removeprefix("torch.")
        shapes = ", ".join(f"{name} of shape {list(x.shape)}" for name, x in inputs.items())
        raise UserError(
            f"{where}: its labels are {kind} of shape {list(targets.shape)} for {shapes}; give one for each "
            "sample"
        )


def _tensor(value: Any) -> Tensor | None:
    """A tensor as it is, numbers as one; None for anything else."""
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.as_tensor(value)
    return torch.as_tensor(value) if _is_number(value) else None


def _is_number(value: Any) -> bool:
    """Whether it is a list of numbers, such as labels that nobody made a tensor of."""
    return isinstance(value, tuple | list) and bool(value) and all(isinstance(x, int | float) for x in value)


def _kinds(batch: Any) -> str:
    parts: Iterable[Any] = batch if isinstance(batch, tuple | list) else [batch]
    return f"({', '.join(type(part).__name__ for part in parts)})"
