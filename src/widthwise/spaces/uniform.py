"""Uniform schemes: the candidates that give every layer the same format with the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.formats.base import Format
from widthwise.formats.corrected import uncorrected
from widthwise.spaces.slots import Slot

MOST = 16  # schemes of one space
FLOAT_BITS = 32.0
FLOAT = "float"


@dataclass(frozen=True)
class Uniform:
    """One scheme: the family of its formats, their bits, and the candidate [D] that has it."""

    family: str
    bits: float
    candidate: tuple[int, ...]


def uniform_schemes(slots: Sequence[Slot], decisions: int, *, most: int = MOST) -> tuple[Uniform, ...]:
    """The uniform schemes among the choices of these slots, the first few spread over all bits.

    There is one for each family and each number of bits that weights may have; tensors that may not have
    them get what comes nearest, more bits where two are equally near. What else a format may vary, as where
    its point stands, is uniform too: each scheme comes with several of these choices, as many as there is
    room for among `most`.
    """
    chosen = [slot for slot in slots if slot.columns]
    chosen.sort(key=lambda slot: slot.tensor != "weight")
    judged = [slot for slot in chosen if slot.tensor == "weight"] or chosen
    wanted = sorted(
        {_kind(fmt) for slot in judged for fmt in slot.formats}, key=lambda kind: (-kind[1], kind[0])
    )
    wanted = [wanted[at] for at in _halving(len(wanted))[:most]]
    variants = max(1, most // max(1, len(wanted)))
    found: dict[tuple[int, ...], Uniform] = {}
    for number in range(variants):
        for family, bits in wanted:
            made = _scheme(chosen, decisions, (family, bits), number, variants)
            found.setdefault(made, Uniform(family, bits, made))
    return tuple(found.values())


def _scheme(
    slots: Sequence[Slot], decisions: int, wanted: tuple[str, float], number: int, variants: int
) -> tuple[int, ...]:
    """The candidate [D] whose slots are nearest to `wanted`, with the `number`th of equally near choices."""
    settled: dict[int, int] = {}
    for slot in slots:
        cells = _nearest(slot, wanted, settled)
        at = number if len(cells) <= variants else round((number + 0.5) * len(cells) / variants - 0.5)
        settled |= zip(slot.columns, cells[min(at, len(cells) - 1)], strict=True)
    return tuple(settled.get(column, 0) for column in range(decisions))


def _nearest(slot: Slot, wanted: tuple[str, float], settled: dict[int, int]) -> list[tuple[int, ...]]:
    """The choices of a slot's decisions, among those in `settled`, nearest to a family and bits."""
    family, bits = wanted

    def distance(cell: tuple[int, ...]) -> tuple[bool, float, float]:
        kind = _kind(slot.formats[slot.table[cell]])
        return kind[0] != family, abs(kind[1] - bits), -kind[1]

    cells = [
        cell
        for cell in np.ndindex(slot.table.shape)
        if all(settled.get(column, index) == index for column, index in zip(slot.columns, cell, strict=True))
    ]
    least = min(map(distance, cells))
    near = [cell for cell in cells if distance(cell) == least]
    first: dict[int, tuple[int, ...]] = {}  # of cells with the same format, one
    for cell in near:
        first.setdefault(int(slot.table[cell]), cell)
    return list(first.values())


def _kind(fmt: Format | None) -> tuple[str, float]:
    """Family and bits of a format."""
    fmt = uncorrected(fmt)
    return (FLOAT, FLOAT_BITS) if fmt is None else (fmt.names[0], float(fmt.bits))


def _halving(count: int) -> list[int]:
    """The numbers below `count`: both ends, then the middle of what is between, and so on."""
    order, gaps = list(range(count))[:1] + list(range(count))[1:][-1:], [(0, count - 1)]
    while gaps:
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def as_rows(schemes: Sequence[Uniform], decisions: int) -> IntArray:
    """Their candidates [U, D]."""
    return np.array([one.candidate for one in schemes], dtype=np.int64).reshape(len(schemes), decisions)
