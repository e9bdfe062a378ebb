"""Where the value of each tensor of a run comes from: which calls of which values made it.

Two tensors of the same origin, made with the same choices of all slots that the origin depends on, are equal.
An origin is known by a number: the same structure has the same one in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves

MOST_ORIGINS = 200_000  # then everything is forgotten: a network whose runs all differ makes ever new ones
_MARK = "_widthwise_origin"
_AUTOCAST = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Origin:
    """number: of the structure. depends: the slots (columns) that the value depends on, ascending."""

    number: int
    depends: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Mark:
    """What a tensor carries.

    changes: how often its memory had been changed in this run when it was made. home: the number of the origin
    for which the memory was made, another one's for a view.
    """

    owner: Origins
    origin: Origin
    home: int
    changes: int


class Origins:
    """The origins of the tensors of one network's runs."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.changed: set[int] = set()  # homes whose memory a run changes after it was made
        self._known: dict[Any, Origin] = {}
        self._numbers = count(1)
        self.start()

    def start(self) -> None:
        """A new run: no memory has been changed."""
        if len(self._known) > MOST_ORIGINS:
            self._known.clear()
        held = chain(self.network.named_parameters(), self.network.named_buffers())
        self._held = {id(tensor): name for name, tensor in held}
        self._changes: dict[int, list[Origin]] = {}

    def of(self, tensor: Tensor) -> Origin:
        """The origin of a tensor as it is now."""
        mark = self._mark(tensor)
        changes = self._changes.get(_memory(tensor), ()) if self._changes else ()
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
        self, function: Callable[..., Any], call: Any, own: tuple[int, ...] = (), name: str = ""
    ) -> Origin:
        """The origin of what a call gives; a fresh one where that follows from more than what it reads.

        own: columns of slots that apply in the call. name: of the layer whose slots they are.
        """
        leaves, spec = tree_flatten(call)
        parts: list[Any] = [function, name, spec, _settings()]
        read = []
        for leaf in _ends_of_slices(leaves):
            if isinstance(leaf, Tensor):
                read.append(self.of(leaf))
                parts.append(read[-1].number)
            else:
                parts.append((type(leaf), repr(leaf) if type(leaf) is float else leaf))  # -0.0 is no 0.0
        key = tuple(parts)
        if not _is_hashable(key):
            return self.fresh()
        return self._named(key, *read, own=own)

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
        name = self._held.get(id(tensor))
        if name is not None:
            origin = self._named(("held", name))
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


def _settings() -> tuple[Any, ...]:
    """What lets the same call of the same values give others."""
    autocast = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _AUTOCAST]
    return (torch.get_default_dtype(), *autocast)


def _ends_of_slices(leaves: Sequence[Any]) -> Iterator[Any]:
    """Leaves of arguments, what slices consist of among them: slices can't be hashed, and may hold tensors."""
    for leaf in leaves:
        if isinstance(leaf, slice):
            yield from (slice, leaf.start, leaf.stop, leaf.step)
        else:
            yield leaf


def random_state() -> tuple[bytes, ...]:
    """The states of the generators that calls draw random numbers from by default."""
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states.append(torch.cuda.get_rng_state())
    return tuple(state.numpy().tobytes() for state in states)


def shares_memory(tensor: Tensor, others: Sequence[Tensor]) -> Tensor | None:
    """The first of the others that lies in the same memory."""
    memory = _memory(tensor)
    return next((other for other in others if _memory(other) == memory), None)
