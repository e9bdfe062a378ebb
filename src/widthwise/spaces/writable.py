"""The candidates of a space that an export form can write, found without evaluating any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError, said_once
from widthwise.network.realised import Realised
from widthwise.spaces.slots import Slot, schemes, slot_choices
from widthwise.spaces.space import Space
from widthwise.spaces.within import LISTED, Within

if TYPE_CHECKING:
    from widthwise.network.graph import Graph

LISTED_ONE_BY_ONE = 512  # as LISTED, where a form looks at a whole network for each candidate
SHOWN = 3  # names in a line

Counts = Callable[[IntArray], IntArray]


class Form(Protocol):
    """What is asked of an exporter here: what of a network it can't say (`widthwise.export.exporter`)."""

    @property
    def name(self) -> str: ...

    def refusals(self, realised: Realised, graph: Graph, /) -> list[str]:
        """What of the network this form can't say, as "node: reason"; empty where it can."""
        ...


@runtime_checkable
class CountsMany(Protocol):
    """A form that knows of many candidates at once which it refuses."""

    def reasons_of_many(self, graph: Graph, slots: Sequence[Slot], /) -> Counts:
        """Format indices [K, S] of a graph's slots to how many reasons there are against each, [K]; 0 just
        where `refusals` has none, but for reasons that hold of all candidates."""
        ...


@dataclass(frozen=True, eq=False)
class Writable:
    """Which candidates of a space a form can write.

    slots: of the space, calibrated.
    """

    form: Form
    graph: Graph
    space: Space
    slots: tuple[Slot, ...]

    def reasons(self, candidates: IntArray) -> FloatArray:
        """How many reasons there are against candidates [K, D], [K]; 0 for those that it can write."""
        return self._counts(slot_choices(self.slots, candidates)).astype(np.float64)

    def why_not(self, candidate: IntArray) -> list[str]:
        """What of one candidate [D] the form can't say; empty where it can write it."""
        chosen = slot_choices(self.slots, candidate[None])[0]
        return _refusals(self.form, self.graph, self.slots, chosen)

    @cached_property
    def within(self) -> Within:
        """The candidates that it can write."""
        most = LISTED if isinstance(self.form, CountsMany) else LISTED_ONE_BY_ONE
        return Within(
            self.space, self.reasons, bounds=f"target = {self.form.name}", targeted=True, most_listed=most
        )

    def check(self) -> None:
        """Raises UserError where it can write no candidate, with what it can't say of the nearest."""
        first = np.zeros(len(self.space.decisions), dtype=np.int64)
        reasons = self.why_not(first)
        if self.graph.capture == "fx" and reasons:
            reasons = self.why_not(self.within.closest(1)[0])
        if reasons:
            said = said_once([*reasons[:SHOWN], *self._norms_in_float()])
            raise UserError(f"target {self.form.name}: can write no candidate of this space: {said}")

    def _norms_in_float(self) -> Iterator[str]:
        """Batch norms that could not be folded into a layer, and which no rule gives a format."""
        ruled = {slot.layer for slot in self.slots}
        types = {layer.name: layer.type for layer in self.graph.layers}
        for name, into in self.graph.folded.items():
            if not into and name not in ruled:
                yield (
                    f"{name} is a batch norm with no layer beside it to be folded into, so it needs formats "
                    f"of its own: a rule for {name} or {types[name]}"
                )

    @cached_property
    def choices(self) -> list[list[int]]:
        """Of each decision the choices that some candidate which it can write has; there is one."""
        if self.within.listed is not None:
            rows = self.space.at(self.within.listed.tolist())
            return [np.unique(column).tolist() for column in rows.T]
        start = self.within.closest(1)[0]
        found = [[int(choice)] for choice in start]
        columns, options = self.space.every_choice
        near = self.space.variants(start)
        for column, choice, row, reasons in zip(columns, options, near, self.reasons(near), strict=True):
            if choice not in found[column] and (reasons == 0 or self._can_have(column, row)):
                found[column].append(int(choice))
        return [sorted(choices) for choices in found]

    def _can_have(self, column: int, row: IntArray) -> bool:
        """Whether changes of the other decisions lead from a candidate [D] to one that it can write."""
        names = self.space.decisions
        kept = tuple(
            (type(one))(one.name, (one.choices[row[column]],)) if at == column else one
            for at, one in enumerate(names)
        )

        def reasons(candidates: IntArray) -> FloatArray:
            candidates = candidates.copy()
            candidates[:, column] = row[column]
            return self.reasons(candidates)

        start = row.copy()
        start[column] = 0
        within = Within(Space(kept), reasons, most_listed=0)
        return within.repaired(start, np.random.default_rng(0)) is not None

    def left_out(self) -> Iterator[str]:
        """What it can't say of the space: choices, a line for each reason; then combinations of others."""
        start = self.within.closest(1)[0]
        grouped: dict[str, list[str]] = {}
        for column, kept in enumerate(self.choices):
            decision = self.space.decisions[column]
            for choice in sorted(set(range(len(decision.choices))) - set(kept)):
                row = start.copy()
                row[column] = choice
                reason = (self.why_not(row) or ["not together with what else is chosen"])[0]
                said = reason.partition(": ")[2] or reason
                grouped.setdefault(said, []).append(f"{decision.name} {decision.choices[choice]}")
        for said, names in grouped.items():
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            yield f"left out, as {self.form.name} can't write it: {', '.join(names[:SHOWN])}{more} ({said})"

    @cached_property
    def _counts(self) -> Counts:
        if isinstance(self.form, CountsMany):
            return self.form.reasons_of_many(self.graph, self.slots)
        return OneByOne(self.form, self.graph, self.slots)


@dataclass(frozen=True, eq=False)
class OneByOne:
    """Each candidate's network is shown to the form; what it said is known from then on."""

    form: Form
    graph: Graph
    slots: tuple[Slot, ...]
    known: dict[bytes, int] = field(default_factory=dict)

    def __call__(self, chosen: IntArray) -> IntArray:
        found = []
        for row in chosen:
            key = row.tobytes()
            if key not in self.known:
                self.known[key] = len(_refusals(self.form, self.graph, self.slots, row))
            found.append(self.known[key])
        return np.array(found, dtype=np.int64)


def _refusals(form: Form, graph: Graph, slots: Sequence[Slot], chosen: IntArray) -> list[str]:
    own = schemes(slots, chosen)
    return form.refusals(Realised((), {}, own), graph.quantized(own) if own else graph)
