"""Where the value of each tensor of a run comes from: which calls of which values made it.

Two tensors of the same origin, made with the same choices of all slots that the origin depends on, are equal.
An origin is known by a number: the same structure has the same one in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from widthwise.network.operands import Call

MOST_ORIGINS = 200_000  # then everything is forgotten: a network whose runs all differ makes ever new ones
_MARK = "_widthwise_origin"


@dataclass(frozen=True, slots=True)
class Origin:
    """number: of the structure. depends: the slots (columns) that the value depends on, ascending."""

    number: int
    depends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """What a tensor carries.

    changes: how often its memory had been changed in this run when it was made. home: the number of the
    origin for which the memory was made, another one's for a view.
    """

    owner: Origins
    origin: Origin
    home: int
    changes: int


class Origins:
    """The origins of the tensors of one network's runs."""

    def __init__(self, network: nn.Module) -> None:
        held = chain(network.named_parameters(), network.named_buffers())
        self._held = {id(tensor): (name, tensor) for name, tensor in held}  # alive, so that ids stay theirs
        self.changed: set[int] = set()  # homes whose memory a run changes after it was made
        self._known: dict[Any, Origin] = {}
        self._numbers = count(1)
        self.start()

    def start(self) -> None:
        """A new run: no memory has been changed."""
        if len(self._known) > MOST_ORIGINS:
            self._known.clear()
        self._changes: dict[int, list[Origin]] = {}

    def of(self, tensor: Tensor) -> Origin:
        """The origin of a tensor as it is now."""
        mark = self._mark(tensor)
        changes = self._changes.get(_memory(tensor), []) if self._changes else []
        if len(changes) > mark.changes:
            return self._named(("changed", mark.origin.number, changes[-1].number), mark.origin, changes[-1])
        return mark.origin

    def home(self, tensor: Tensor) -> int:
        """The number of the origin that a tensor's memory was made for."""
        return self._mark(tensor).home

    def input(self, name: str, value: Any) -> None:
        """Marks an input of the network."""
        for place, leaf in enumerate(tree_leaves(value)):
            if isinstance(leaf, Tensor):
                self.mark(leaf, self._named(("input", name, place)))

    def of_call(
        self,
        function: Callable[..., Any],
        call: Call,
        read: list[Tensor],
        own: tuple[int, ...] = (),
        name: str = "",
    ) -> Origin:
        """The origin of what a call gives; a fresh one where that follows from more than what it reads.

        read: takes in the tensors among the arguments. own: columns of slots that apply in the call. name: of
        the layer whose slots they are.
        """
        key = (function, name, _surroundings(), self._key(call[0], read), self._key(call[1], read))
        if not _is_hashable(key):
            return self.fresh()
        found = self._known.get(key)
        return self._named(key, *map(self.of, read), own=own) if found is None else found

    def _key(self, value: Any, read: list[Tensor]) -> Any:
        """What tells arguments apart: origins of tensors, and everything else with its type."""
        if isinstance(value, Tensor):
            read.append(value)
            return self.of(value)
        if isinstance(value, tuple | list):
            return (type(value), *[self._key(item, read) for item in value])
        if isinstance(value, dict):
            return (dict, *[(key, self._key(item, read)) for key, item in value.items()])
        if isinstance(value, slice):
            return (slice, *[self._key(item, read) for item in (value.start, value.stop, value.step)])
        return (type(value), repr(value) if type(value) is float else value)  # -0.0 is no 0.0

    def part(self, whole: Origin, place: int) -> Origin:
        """The origin of one of several tensors that a call gives."""
        return self._named(("part", whole.number, place), whole)

    def fresh(self) -> Origin:
        """The origin of a value of which nothing is known: no other is equal."""
        return Origin(next(self._numbers))

    def mark(self, tensor: Tensor, origin: Origin, home: int | None = None) -> None:
        """Notes where a tensor comes from; home: of the tensor that it is a view of."""
        changes = len(self._changes.get(_memory(tensor), ())) if self._changes else 0
        mark = _Mark(self, origin, origin.number if home is None else home, changes)
        setattr(tensor, _MARK, mark)

    def change(self, tensor: Tensor, by: Origin) -> int:
        """Notes that a call has changed a tensor's memory; gives its home."""
        home = self.home(tensor)
        self.changed.add(home)
        self._changes.setdefault(_memory(tensor), []).append(by)
        if id(tensor) not in self._held:
            self.mark(tensor, by, home)
        return home

    def _mark(self, tensor: Tensor) -> _Mark:
        held = self._held.get(id(tensor))
        if held is not None:
            origin = self._named(("held", held[0]))
            return _Mark(self, origin, origin.number, 0)
        found = getattr(tensor, _MARK, None)
        if found is None or found.owner is not self:
            self.mark(tensor, self.fresh())
            found = getattr(tensor, _MARK)
        return cast(_Mark, found)

    def _named(self, key: Any, *read: Origin, own: tuple[int, ...] = ()) -> Origin:
        found = self._known.get(key)
        if found is None:
            depends = tuple(sorted({*own, *(column for origin in read for column in origin.depends)}))
            found = self._known[key] = Origin(next(self._numbers), depends)
        return found


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _is_hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _surroundings() -> tuple[Any, ...]:
    """What else the result of a call follows from: autocast, and the type of new tensors."""
    on = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
    types = [torch.get_autocast_dtype(kind) for kind in ("cpu", "cuda")] if any(on) else []
    return (*on, *types, torch.get_default_dtype())


def random_state() -> tuple[bytes, ...]:
    """The states of the generators that calls draw random numbers from by default."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states.append(torch.cuda.get_rng_state())
    return tuple(state.numpy().tobytes() for state in states)


def shares_memory(tensor: Tensor, others: Sequence[Tensor]) -> Tensor | None:
    """The first of the others that lies in the same memory."""
    memory = _memory(tensor)
    return next((other for other in others if _memory(other) == memory), None)
