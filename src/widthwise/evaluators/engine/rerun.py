"""Running a recorded network again for each candidate, with what has been computed before from memory.

The network's own code runs each time, so whatever it decides is decided anew; but a call whose inputs are
known values, and whose formats are those of an earlier run, gives what it gave then. Where control flow
depends on values, other calls are made, whose values are others': they are computed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from widthwise.core.arrays import IntArray
from widthwise.evaluators.engine.byte_layers import ByteFunctions
from widthwise.evaluators.engine.byte_products import ByteGrid, rounded
from widthwise.evaluators.engine.provenance import Origin, Origins, random_state, shares_memory
from widthwise.evaluators.engine.stacks import leaf_bytes
from widthwise.formats.base import Format
from widthwise.network.calling import call as call_network
from widthwise.network.calling import cloned
from widthwise.network.computing import computed, quantize_input
from widthwise.network.course import Course, Walked
from widthwise.network.graph import Graph
from widthwise.network.layer import Layer
from widthwise.network.operands import Call, changed_argument
from widthwise.network.places import Place, followed
from widthwise.network.stored_tensors import StoredTensors
from widthwise.network.undisturbed import Inside, undisturbed
from widthwise.spaces.slots import Slot, schemes

ENTRY = 1024  # bytes of an entry, whatever its value
Key = tuple[Any, ...]


class Rerun:
    """One candidate at a time on a recorded network, with the values of earlier runs as memory allows.

    `outputs` finds the outputs [samples, ...] in what the network returns. most_bytes: what the values kept
    may take.
    """

    def __init__(
        self, graph: Graph, slots: Sequence[Slot], outputs: Callable[[Any], Tensor], most_bytes: int
    ) -> None:
        self.network: nn.Module = graph.network
        self.slots = tuple(slots)
        self._outputs = outputs
        self.memory = Memory(most_bytes)
        self._origins, self._inside = Origins(self.network), Inside.of(self.network)
        self._stored, self._bytes = StoredTensors(), ByteFunctions()
        columns: dict[str, list[int]] = {}
        for column, slot in enumerate(slots):
            columns.setdefault(slot.layer, []).append(column)
        self._columns = {name: tuple(found) for name, found in columns.items()}
        self._course = Course(graph.fx_graph, [layer for layer in graph.layers if layer.name in columns])

    def outputs(
        self, block: int, inputs: Mapping[str, Tensor], chosen: IntArray, later: IntArray | None = None
    ) -> Tensor:
        """Outputs [1, samples, ...] of one candidate's formats [S]; `block` identifies the inputs.

        later: the formats [R, S] of candidates that come next, for which alone values are kept; None: nobody
        knows which come.
        """
        return self._outputs(self._run(block, inputs, chosen, later)).unsqueeze(0)

    def forget(self) -> None:
        """Starts anew: the blocks that follow are not those that the numbers meant before."""
        self.memory.forget()

    def _run(self, block: int, inputs: Mapping[str, Tensor], chosen: IntArray, later: IntArray | None) -> Any:
        self._origins.start()
        given = cloned(inputs)  # the network may change its inputs
        for name, value in given.items():
            self._origins.input(name, value)
        handle = _Handle(self, block, chosen, later)
        inside = self._inside
        with undisturbed(self.network, inside), torch.no_grad(), followed(self.network, handle, inside):
            result = call_network(self.network, given)
        handle.walked.check()
        return result


@dataclass(eq=False)
class Memory:
    """Values by what made them, the least recently used given up first."""

    most_bytes: int
    bytes: int = 0
    kept: OrderedDict[Key, tuple[Any, int, int]] = field(default_factory=OrderedDict)  # value, size, home

    def find(self, key: Key) -> Any:
        """The value, or None."""
        found = self.kept.get(key)
        if found is None:
            return None
        self.kept.move_to_end(key)
        return found[0]

    def keep(self, key: Key, value: Any, home: int) -> None:
        """Keeps a value while there is room."""
        size = ENTRY + leaf_bytes(value)
        if size > self.most_bytes:
            return
        self.kept[key] = (value, size, home)
        self.bytes += size
        while self.bytes > self.most_bytes:
            _, (_, freed, _) = self.kept.popitem(last=False)
            self.bytes -= freed

    def drop(self, home: int) -> None:
        """Gives up the values whose memory is about to be changed."""
        for key in [key for key, (_, _, made_for) in self.kept.items() if made_for == home]:
            self.bytes -= self.kept.pop(key)[1]

    def forget(self) -> None:
        """Gives up everything."""
        self.kept.clear()
        self.bytes = 0


class _Handle:
    """Makes the calls of one run."""

    def __init__(self, rerun: Rerun, block: int, chosen: IntArray, later: IntArray | None) -> None:
        self.origins, self.memory, self.stored = rerun._origins, rerun.memory, rerun._stored
        self.bytes = rerun._bytes
        self.block, self.chosen = block, chosen.tolist()
        self.columns, self.walked = rerun._columns, Walked(rerun._course)
        self.schemes = schemes(rerun.slots, chosen)
        self.given: set[Key] = set()  # what this run has come by
        self.read: dict[Any, Tensor] = {}  # what this run has quantised, for further readers
        self.rounded: dict[Any, Tensor | None] = {}  # the same as bytes
        self.later = None if later is None else later == chosen
        self.needed: dict[tuple[int, ...], bool] = {}  # by the slots that a value depends on

    def __call__(
        self, place: Place, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        call = (tuple(args), dict(kwargs))
        layer = self.walked.layer(place, call)
        if layer is None:
            return self._made(function, call, partial(function, *args, **kwargs), (), "")
        compute = partial(self._computed, layer, function, call)
        return self._made(function, call, compute, self.columns[layer.name], layer.name)

    def _computed(self, layer: Layer, function: Callable[..., Any], call: Call) -> Any:
        """What a layer's call gives with its formats."""
        scheme, stored = self.schemes[layer.name], self.stored
        found = self.bytes.product(layer, function, call, scheme, stored, self._rounded)
        if found is not None:
            return found
        of, name = layer.of, layer.name
        return computed(layer.type, function, call, of, scheme, stored, name, read=self._quantised)

    def _made(
        self,
        function: Callable[..., Any],
        call: Call,
        compute: Callable[[], Any],
        own: tuple[int, ...],
        name: str,
    ) -> Any:
        """What a call gives: from memory, or computed; each value is given out once in a run.

        So two equal ones are two tensors, of which the network may change one.
        """
        read: list[Tensor] = []
        origin = self.origins.of_call(function, call, read, own, name)
        changed = [x for x in tree_leaves(changed_argument(function, call)) if isinstance(x, Tensor)]
        key = (self.block, origin.number, *(self.chosen[column] for column in origin.depends))
        again = key in self.given
        self.given.add(key)
        found = None if changed or again else self.memory.find(key)
        if found is not None:
            return found
        for tensor in changed:
            self.memory.drop(self.origins.home(tensor))
        before = random_state()
        result = compute()
        drawn = "generator" in call[1] or random_state() != before
        origin = self.origins.fresh() if drawn else origin
        for tensor in changed:
            self.origins.change(tensor, origin)
        if not changed and self._note(origin, result, read) and not drawn and not again:
            self.memory.keep(key, result, origin.number)
        return result

    def _note(self, origin: Origin, result: Any, read: Sequence[Tensor]) -> bool:
        """Marks what a call gave; whether it can be kept: it is no mere view of what was read."""
        leaves = [result] if isinstance(result, Tensor) else tree_leaves(result)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        keep = bool(tensors) and origin.number not in self.origins.changed
        for place, tensor in enumerate(tensors):
            if any(tensor is other for other in read):  # given back as it is
                keep = False
                continue
            of = shares_memory(tensor, read)
            own = origin if len(tensors) == 1 else self.origins.part(origin, place)
            self.origins.mark(tensor, own, origin.number if of is None else self.origins.home(of))
            keep &= of is None
        return keep and self._is_needed(origin.depends)

    def _is_needed(self, depends: tuple[int, ...]) -> bool:
        """Whether a candidate that comes later has the same choices of these slots."""
        if self.later is None:
            return True
        if depends not in self.needed:
            self.needed[depends] = bool(self.later[:, depends].all(axis=1).any())
        return self.needed[depends]

    def _quantised(self, fmt: Format, x: Tensor) -> Tensor:
        """A tensor as a layer reads it; several that read it alike share the copy."""
        key = (self.origins.of(x).number, fmt)
        if key not in self.read:
            self.read[key] = quantize_input(fmt, x)
        return self.read[key]

    def _rounded(self, x: Tensor, grid: ByteGrid) -> Tensor | None:
        """A tensor as a layer that multiplies bytes reads it."""
        key = (self.origins.of(x).number, grid)
        if key not in self.rounded:
            self.rounded[key] = rounded(x, grid)
        return self.rounded[key]
