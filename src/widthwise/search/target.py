"""A search within an export form: choices left out of its space, and candidates kept out of what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Begins, Evaluator, HasSlots, HasSlotsAsGiven
from widthwise.network.forms import form_of, made_form
from widthwise.network.graph import Graph
from widthwise.network.realised import Realised
from widthwise.spaces.slots import Slot
from widthwise.spaces.space import Space
from widthwise.spaces.writable import Form, Writable


@runtime_checkable
class Keeps(Protocol):
    """A space that can be had with fewer choices."""

    def keeping(self, choices: list[list[int]], /) -> Any:
        """The space with these choices alone, by decision, ascending."""
        ...


@dataclass(frozen=True, eq=False)
class Target:
    """The form that all candidates of a search can be written in.

    reasons: how many there are against candidates [K, D], [K]; None: none against any. notes: what was left
    out of the space, a line each.
    """

    name: str
    reasons: Callable[[IntArray], FloatArray] | None = None
    notes: tuple[str, ...] = ()


def within_target(
    name: str, graph: Graph, space: Space, judge: Evaluator, judged: Callable[[Space], Evaluator] | None
) -> tuple[Space, Evaluator, Target]:
    """The space without choices that no candidate which the form can write has, and who judges it.

    name: with its options, as "onnx layout=qdq". judge: of the space; judged: makes one of a smaller space;
    None: there is no other, so the space stays, and candidates are kept out alone. Raises UserError where the
    form can write none.
    """
    form: Form = made_form(*form_of(name))
    own = _slots(judge, space)
    if own is None:
        graph = judge.begins if isinstance(judge, Begins) else graph
        if reasons := form.refusals(Realised((), {}, {}), graph):
            raise UserError(f"target {name}: can't write this network: {reasons[0]}")
        return space, judge, Target(name)
    writable = Writable(form, graph, space, own)
    writable.check()
    notes = tuple(writable.left_out())
    fewer = any(len(kept) < count for kept, count in zip(writable.choices, space.cardinalities, strict=True))
    if fewer and judged is not None and isinstance(space, Keeps):
        space = space.keeping(writable.choices)
        judge = judged(space)
        assert isinstance(judge, HasSlots)
        writable = Writable(form, graph, space, tuple(judge.slots))
    listed = writable.within.listed
    if listed is not None and len(listed) == space.size:
        return space, judge, Target(name, notes=notes)
    if listed is not None:
        out = space.size - len(listed)
        notes = (*notes, f"kept out, as {name} can't write their formats together: {out:,} of {space.size:,}")
    return space, judge, Target(name, writable.reasons, notes)


def _slots(judge: Evaluator, space: Space) -> tuple[Slot, ...] | None:
    """The formats that tensors may have, as who judges calibrated them; None where nothing is chosen so."""
    if isinstance(judge, HasSlotsAsGiven):
        return tuple(judge.slots_as_given)
    own = next((one for one in (judge, space) if isinstance(one, HasSlots)), None)
    return None if own is None else tuple(own.slots)
