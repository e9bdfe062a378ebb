"""The networks of a joint search: one for each set of channel widths, made once while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from widthwise.core.errors import UserError
from widthwise.core.importing import describe_error
from widthwise.evaluators.engine.evaluator import Evaluator
from widthwise.network.graph import Graph

ENGINES = 8  # that are ready at once: each holds the data, and values that it may find again
KEPT_BYTES = 2**28  # of the weights of networks

Sizes = tuple[tuple[str, int], ...]
"""The sizes of all groups that have a decision, by name."""


class Networks:
    """Networks by their sizes, and what evaluates formats in each.

    make: sizes to a network with the weights that it is judged by, the same each time. engine: what evaluates
    formats in it. Networks are kept up to KEPT_BYTES, the one asked for last in any case; what had to go is
    made again. One that can't be made is not tried again.
    """

    def __init__(
        self, make: Callable[[Mapping[str, int]], Graph], engine: Callable[[Graph], Evaluator]
    ) -> None:
        self._make, self._prepare = make, engine
        self._graphs: OrderedDict[Sizes, Graph] = OrderedDict()
        self._engines: OrderedDict[Sizes, Evaluator] = OrderedDict()
        self._failed: dict[Sizes, str] = {}
        self.made = 0  # networks, those made again too

    def __contains__(self, sizes: Sizes) -> bool:
        return sizes in self._graphs

    def engine(self, sizes: Sizes) -> Evaluator:
        """What evaluates formats in the network of these sizes; UserError where that can't be had."""
        if sizes in self._failed:
            raise UserError(self._failed[sizes])
        try:
            if sizes not in self._engines:
                self._engines[sizes] = self._prepare(self.graph(sizes))
        except UserError as error:
            self._failed[sizes] = str(error)
            raise
        except (RuntimeError, MemoryError) as error:  # no memory, or a layer that takes no such size
            self._failed[sizes] = describe_error(error)
            raise UserError(self._failed[sizes]) from error
        self._engines.move_to_end(sizes)
        while len(self._engines) > ENGINES:
            self._engines.popitem(last=False)
        return self._engines[sizes]

    def graph(self, sizes: Sizes) -> Graph:
        """The network of these sizes, in float."""
        if sizes not in self._graphs:
            self._graphs[sizes] = self._make(dict(sizes))
            self.made += 1
        self._graphs.move_to_end(sizes)
        while len(self._graphs) > 1 and sum(map(_bytes, self._graphs.values())) > KEPT_BYTES:
            self._graphs.popitem(last=False)
        return self._graphs[sizes]


def _bytes(graph: Graph) -> int:
    return sum(tensor.nbytes for tensor in graph.model.state_dict().values())
