"""Latency as a metric of a search: of each structure that has to be, measured once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from widthwise.core.arrays import IntArray
from widthwise.core.errors import UserError
from widthwise.evaluators.protocol import Evaluator, HasShapes, HasSlots, Realises
from widthwise.export.in_bytes import reasons
from widthwise.export.integers.reading import read_program
from widthwise.export.latency.kept import Structure, keep, machine_mark, read_kept
from widthwise.export.latency.latency import Stopwatch
from widthwise.export.latency.structures import FormatStructures
from widthwise.metrics.timing import Timing
from widthwise.spaces.slots import schemes, slot_choices

if TYPE_CHECKING:
    from torch import nn

    from widthwise.network.graph import Graph
    from widthwise.network.realised import Realised
    from widthwise.spaces.slots import Slot

LATENCY, RATIO = "latency", "latency_ratio"


class LatencyMeasurer:
    """`latency` and `latency_ratio` of candidates; see `widthwise.metrics.measurer.Measurer`.

    A latency is the ratio times what the float network took when the search began, so that figures of one run
    compare although the machine gets slower and faster meanwhile.
    """

    def __init__(
        self, network: nn.Module, graph: Graph, base: Realised, evaluator: Evaluator, timing: Timing
    ) -> None:
        """network: that is searched; base: what makes it, in float. Raises UserError where candidates have no
        form that can be timed."""
        self.network, self.base, self.evaluator, self.timing = network, base, evaluator, timing
        self._slots = tuple(evaluator.slots) if isinstance(evaluator, HasSlots) else ()
        self.ordered = bool(self._slots) or isinstance(evaluator, HasShapes)
        self._of_formats = FormatStructures(graph, self._slots) if self._slots else None
        if not isinstance(evaluator, HasShapes | Realises):
            raise UserError("latency: the evaluator was given from Python and gives no networks to time")
        _check(graph, self._slots)
        self._folder: Path | None = None
        self._float: float | None = None
        self._ratios: dict[Structure, float] = {}

    def structures(self, candidates: IntArray) -> IntArray:
        """[K, F] of candidates [K, D]: steps that formats need, or numbers of channels; else candidates."""
        if self._of_formats is not None:
            return self._of_formats(slot_choices(self._slots, candidates))
        if isinstance(self.evaluator, HasShapes):
            return self.evaluator.shapes(candidates)
        return candidates

    @property
    def known(self) -> Mapping[Structure, Mapping[str, float]]:
        """What was measured, in this session or an earlier one of the run."""
        return {structure: self._figures(ratio) for structure, ratio in self._ratios.items()}

    def measure(self, structure: Structure, candidate: IntArray) -> Mapping[str, float]:
        """Of a candidate [D]; UserError where it can't be had."""
        self._ratios[structure] = self._watch(self._realised(candidate)).ratio
        found = self._figures(self._ratios[structure])
        if self._folder is not None and self._float is not None:
            keep(self._folder, self._mark, self._float, self._ratios)
        return found

    def float_figures(self) -> Mapping[str, float]:
        """The float network's own: what latencies are ratios of."""
        return self._figures(1.0)

    def keep_in(self, folder: Path) -> None:
        """Keep ratios in a folder, and use those of this machine that it keeps."""
        self._folder = folder
        kept, ratios = read_kept(folder, self._mark)
        if kept is not None:
            self._float, self._ratios = kept, {**ratios, **self._ratios}

    def _figures(self, ratio: float) -> dict[str, float]:
        if self._float is None:
            self._float = self._watch.float_itself().float_microseconds
        return {LATENCY: ratio * self._float, RATIO: ratio}

    @cached_property
    def _mark(self) -> str:
        return machine_mark(self.timing, self._watch.base.runtime)

    @cached_property
    def _watch(self) -> Stopwatch:
        return Stopwatch(self.base, self.network, self.timing, formats=bool(self._slots))

    def _realised(self, candidate: IntArray) -> Realised:
        if isinstance(self.evaluator, HasShapes):
            return self.evaluator.shaped(candidate)
        assert isinstance(self.evaluator, Realises)
        return self.evaluator.realise(candidate)


def _check(graph: Graph, slots: tuple[Slot, ...]) -> None:
    """Raises UserError where some of the formats have no integer kernel, the others being the first."""
    for column, slot in enumerate(slots):
        for choice in range(len(slot.formats)):
            row = np.zeros(len(slots), dtype=np.int64)
            row[column] = choice
            made = graph.quantized(schemes(slots, row))
            program, found = read_program(made)
            found = found if program is None else reasons(made, program)
            if found:
                raise UserError(f"latency: {found[0]}")
