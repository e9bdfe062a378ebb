"""What the next search could do without, and what it lacks, as far as the trials alone tell.

Where `widthwise explain` was run its advice stands in place of this one: it knows the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widthwise.core.toml import dumps, parse_toml, shown_choice
from widthwise.report.shown.schemes import key_of, parts_of
from widthwise.study.explanation import FEWEST

if TYPE_CHECKING:
    from widthwise.study.study import Study

EDGE = 0.75  # share of the front's members and layers at the end of the choices, from which on it is told


@dataclass(frozen=True)
class Unused:
    """Choices of a key that no layer of any trial on the front has."""

    key: str
    choices: tuple[Any, ...]


@dataclass(frozen=True)
class Edge:
    """A key whose choices end where the front is: most of its members are at the least or the greatest."""

    key: str
    choice: Any
    greatest: bool
    share: float


@dataclass(frozen=True)
class Advice:
    """config: that of the search without the choices that can go, None where it can't be written."""

    unused: tuple[Unused, ...]
    edges: tuple[Edge, ...]
    config: str | None
    members: int


def advice_of(study: Study) -> Advice | None:
    """From the front's distinct trials; None where they are too few to say anything."""
    space, front = study.record.space, [tie.trial for tie in study.ties]
    if len(front) < FEWEST:
        return None
    unused, edges = [], []
    for part in parts_of(space):
        known: dict[str, Any] = {}
        used: set[str] = set()
        low = high = 0
        for column in part.columns:
            decision = space.decisions[column]
            known.update({shown_choice(choice): choice for choice in decision.choices})
            chosen = [trial.candidate[column] for trial in front]
            used.update(shown_choice(decision.choices[index]) for index in chosen)
            if decision.ordered and len(decision.choices) > 1:
                low += sum(index == 0 for index in chosen)
                high += sum(index == len(decision.choices) - 1 for index in chosen)
        gone = tuple(choice for text, choice in known.items() if text not in used)
        if gone and used:
            unused.append(Unused(part.key, gone))
        total = len(front) * len(part.columns)
        ends = [choice for choice in known.values() if isinstance(choice, int | float)]
        for count, greatest in ((low, False), (high, True)):
            if count / total >= EDGE and len(ends) > 1:
                edges.append(Edge(part.key, max(ends) if greatest else min(ends), greatest, count / total))
    return Advice(tuple(unused), tuple(edges), _config(study, unused), len(front))


def advice_lines(advice: Advice) -> list[str]:
    """In sentences."""
    lines = [
        f"{each.key}: {', '.join(map(shown_choice, each.choices))} never appears on the front of "
        f"{advice.members:,} trials, and can go from the space"
        for each in advice.unused
    ]
    lines += [
        f"{each.key}: {each.share:.0%} of the front's choices are {shown_choice(each.choice)}, the "
        + (
            "greatest that there is: try greater ones"
            if each.greatest
            else "least that there is: try smaller ones"
        )
        for each in advice.edges
    ]
    return lines or ["Every choice appears on the front, and none of its ends is crowded: the space fits."]


def _config(study: Study, unused: Sequence[Unused]) -> str | None:
    """The stored config without the choices that can go; None where there is nothing to leave out."""
    if not unused:
        return None
    tables: Any = deepcopy(parse_toml(study.record.config, label="config.toml"))
    seed = tables.get("search", {}).get("search_space", {}).get("seed")
    if not isinstance(seed, Mapping):
        return None
    gone = {each.key: {shown_choice(choice) for choice in each.choices} for each in unused}
    return dumps(tables) if _leave_out(seed, gone) else None


def _leave_out(table: Any, gone: Mapping[str, set[str]]) -> bool:
    """Takes choices out of the lists below a table, never all of one; whether any went."""
    changed = False
    for name, value in table.items():
        if isinstance(value, Mapping):
            changed |= _leave_out(value, gone)
        elif isinstance(value, list) and key_of(name) in gone:
            left = [choice for choice in value if shown_choice(choice) not in gone[key_of(name)]]
            if left and left != value:
                table[name] = left
                changed = True
    return changed
