"""The joint space: how many channels each group may have, and which format each tensor, chosen together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.network.graph import Graph
from widthwise.spaces.conditional import Conditions
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot
from widthwise.spaces.space import Space
from widthwise.spaces.uniform import Uniform, uniform_schemes
from widthwise.spaces.width import WidthSpace

FormatsOf = Callable[[Graph], QuantisationSpace]


class JointSpace(Space):
    """The decisions of a width space, then those of a format space, of one network.

    widths: how many channels groups may have. formats_of: the formats that a network's tensors may have, by
    the same decisions whatever its channels; graph: the network as it is. Of candidates that are the same
    network, as a layer in float has no width of bits, one is searched: that whose decisions without meaning
    are at their first choice (`spare`).
    """

    widths: WidthSpace
    formats: QuantisationSpace  # of the network as it is
    slots: tuple[Slot, ...]  # of the network as it is, with this space's columns
    _formats_of: FormatsOf

    def __init__(self, graph: Graph, widths: WidthSpace, formats_of: FormatsOf) -> None:
        formats = formats_of(graph)
        super().__init__((*widths.decisions, *formats.decisions))
        start = len(widths.decisions)
        slots = tuple(
            replace(slot, columns=tuple(column + start for column in slot.columns)) for slot in formats.slots
        )
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "formats", formats)
        object.__setattr__(self, "slots", slots)
        object.__setattr__(self, "_formats_of", formats_of)

    def apart(self, candidates: IntArray) -> tuple[IntArray, IntArray]:
        """Candidates [K, D] as those of the two spaces, [K, D'] and [K, D - D']."""
        start = len(self.widths.decisions)
        return candidates[:, :start], candidates[:, start:]

    def sizes(self, candidate: ArrayLike) -> dict[str, int]:
        """The size of each group that has a decision, by its name, for one candidate [D]."""
        widths, _ = self.apart(np.asarray(candidate, dtype=np.int64)[None])
        return self.widths.sizes(widths[0])

    def formats_of(self, graph: Graph) -> QuantisationSpace:
        """The formats that tensors of the network at other widths may have; UserError for other decisions."""
        found = self._formats_of(graph)
        if found.decisions != self.formats.decisions:
            raise UserError("at other widths the network has other layers, so it has other formats to choose")
        return found

    @cached_property
    def _conditions(self) -> Conditions:
        return Conditions(self.slots)

    @property
    def has_spare(self) -> bool:
        """Whether decisions may mean nothing beside others."""
        return self._conditions.any

    def spare(self, candidates: IntArray) -> FloatArray:
        """How many decisions of candidates [K, D] mean nothing and are not at their first choice, [K]."""
        return self._conditions.spare(candidates)

    @property
    def uniform(self) -> tuple[Uniform, ...]:
        """The uniform schemes, at the widths that are nearest to the network's own."""
        own = [0] * len(self.widths.decisions)
        for choice in self.widths.choices:
            size = self.widths.groups[choice.group].size
            own[choice.column] = min(
                range(len(choice.sizes)), key=lambda index: abs(choice.sizes[index] - size)
            )
        found = uniform_schemes(self.slots, len(self.decisions))
        return tuple(replace(one, candidate=(*own, *one.candidate[len(own) :])) for one in found)
