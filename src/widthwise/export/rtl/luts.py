"""LUTs, adders and clocks of many candidates: alkaid's estimate of each stage of a network, and their sum.

Few stages have to be looked at for many candidates, as each follows from few of their formats.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import Tensor

from widthwise.core.arrays import FloatArray, IntArray
from widthwise.core.errors import UserError
from widthwise.export.integers.reading import program_of, read_program
from widthwise.export.integers.steps import Add, Codes, Program
from widthwise.export.rtl.estimating import estimates
from widthwise.export.rtl.kept import keep, read_kept
from widthwise.export.rtl.stages import Estimate, NoLogic, Stage, alone
from widthwise.metrics.cost.counts import NodeBits, NodeCounts
from widthwise.spaces.slots import Slot, schemes

if TYPE_CHECKING:
    from widthwise.network.graph import Graph

Figure = Literal["luts", "adders", "latency_cycles"]
OfChosen = Callable[[IntArray], FloatArray]

PIPELINE = 4  # adders between registers, for which clocks are counted
AS_READ = -1  # the range that the first stage is given: all that its format has
SHARED = "logic"  # what costs of logic call their stages among what costs share
REFUSED = "refused: "  # in place of a key, where a row's formats are no program
NOTHING = Estimate(math.nan, math.nan, math.nan)
CHECKED = 2  # estimates of a folder's that are made again to see whether they are right

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LogicCost:
    """A cost that follows from a network's weights and formats."""

    figure: Figure

    def __call__(self, counts: NodeCounts, bits: NodeBits) -> FloatArray:
        """Raises UserError: what nodes do and the bits of their numbers don't tell it."""
        raise UserError(f"{self.figure}: is of networks whose formats are searched, not their widths")

    def of_graph(
        self, graph: Graph, slots: Sequence[Slot], example: tuple[Tensor, ...], shared: dict[str, Any]
    ) -> OfChosen:
        """The costs [K] of a network for format indices [K, S]; NaN where it has no formats at all.

        Raises UserError for networks that can't be written as logic in all the formats that slots have.
        """
        try:
            import alkaid  # type: ignore[import-untyped]  # noqa: F401
        except ImportError as error:
            raise UserError(f"{self.figure}: needs {error.name}; pip install 'widthwise[fpga]'") from error
        if all(fmt is None for slot in slots for fmt in slot.formats):
            return lambda chosen: np.full(len(chosen), np.nan)
        if SHARED not in shared:
            stages = Stages(graph, tuple(slots), example)
            _check(self.figure, stages)
            shared[SHARED] = stages
        found: Stages = shared[SHARED]
        return lambda chosen: found.figures(chosen)[self.figure]


luts, adders, latency_cycles = LogicCost("luts"), LogicCost("adders"), LogicCost("latency_cycles")


def clocks(delay: float, pipeline: float = PIPELINE) -> float:
    """From input to output of logic with so many adders one after the other: a register for the input, and
    one after every `pipeline` adders, at least one at the end."""
    return 1.0 + max(math.ceil(delay / pipeline), 1) if math.isfinite(delay) else delay


@dataclass(frozen=True)
class Found:
    """Where a stage was looked at: its key, and which range the next one is given."""

    key: str
    gives: int


@dataclass(eq=False)
class Stages:
    """A network's stages, and what is known of them.

    alone: by stage and the formats of its slots. ranges: what stages are given, each once. known: by stage,
    its range and formats. of_content: estimates by the stage's key; waiting: stages that have none yet.
    none: what has no estimate, by key, and why.
    folder: where estimates are kept; None: nowhere. made: how many were estimated: those known nowhere, and
    those of the folder that were looked at.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    example: tuple[Tensor, ...]
    alone: dict[tuple[int, tuple[int, ...]], Stage] = field(default_factory=dict)
    ranges: list[tuple[Codes, Codes]] = field(default_factory=list)
    known: dict[tuple[int, tuple[int, ...]], Found] = field(default_factory=dict)
    of_content: dict[str, Estimate] = field(default_factory=dict)
    waiting: dict[str, Stage] = field(default_factory=dict)
    none: dict[str, NoLogic] = field(default_factory=dict)
    folder: Path | None = None
    unproved: dict[str, Estimate] = field(default_factory=dict)  # of the folder, by key
    made: int = 0
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def figures(self, chosen: IntArray) -> dict[Figure, FloatArray]:
        """Each [K] for format indices [K, S]."""
        luts, adders, delay = self(chosen).T
        return {"luts": luts, "adders": adders, "latency_cycles": np.array([clocks(each) for each in delay])}

    def __call__(self, chosen: IntArray) -> FloatArray:
        """LUTs, adders and delay [K, 3] for format indices [K, S]: the sums over the stages; NaN for those
        that have no logic."""
        total = np.zeros((len(chosen), 3))
        for found, which in self._places(chosen):
            each = [self.of_content.get(one.key, NOTHING) for one in found]
            total += np.array([[one.luts, one.adders, one.delay] for one in each]).reshape(-1, 3)[which]
        return total

    def reasons(self, chosen: IntArray) -> dict[int, str]:
        """Of candidates [K, S] that have no logic, by row: which layer in which formats, and why."""
        reasons: dict[int, str] = {}
        for stage, (found, which) in enumerate(self._places(chosen) if self.none else ()):
            bad = np.flatnonzero(np.isin(which, [i for i, one in enumerate(found) if one.key in self.none]))
            for row in bad.tolist():
                key = found[which[row]].key
                of_row = key.startswith(REFUSED)  # its reason names the layer
                named = "" if of_row else f"{self._named(stage, chosen[row])}: "
                reasons.setdefault(row, named + self.none[key].reason)
        return reasons

    def _named(self, stage: int, row: IntArray) -> str:
        """A stage in the formats of a row [S]: `conv with data_in fixed<4,2>, weight fixed<3,3>`."""
        layer = [layer.name for layer in self.graph.layers if layer.stored.get("weight")][stage]
        formats = [
            f"{slot.tensor} {slot.formats[row[column]]}"
            for column, slot in enumerate(self.slots)
            if slot.layer == layer
        ]
        return f"{layer} with {', '.join(formats)}"

    def _places(self, chosen: IntArray) -> list[tuple[list[Found], IntArray]]:
        """For each stage what there is of it, and which of these each candidate has, [K]."""
        places: list[tuple[list[Found], IntArray]] = []
        given = np.full(len(chosen), AS_READ)  # which range the next stage is given, [K]
        for stage, columns in enumerate(self.columns()):
            distinct, first, which = np.unique(
                np.column_stack([given, chosen[:, columns]]), axis=0, return_index=True, return_inverse=True
            )
            found = [
                self._found(stage, tuple(row.tolist()), chosen[at])
                for row, at in zip(distinct, first, strict=True)
            ]
            which = which.reshape(-1)
            places.append((found, which))
            given = np.array([each.gives for each in found], dtype=np.int64)[which]
        self.fill()
        return places

    def _found(self, number: int, at: tuple[int, ...], row: IntArray) -> Found:
        """A stage at (range, *formats), which are part of the row [S]; it waits where it is not known yet."""
        if (number, at) not in self.known:
            given, *formats = at
            try:
                stage = self._alone(number, tuple(formats), row)
            except UserError as error:  # of the formats of this row, which are no part of a key
                key = f"{REFUSED}{error}"
                self.none[key] = NoLogic(str(error))
                return Found(key, AS_READ)
            if given != AS_READ:
                stage = stage.within(*self.ranges[given])
            if stage.key not in self.of_content and stage.key not in self.none:
                self.waiting[stage.key] = stage
            self.known[number, at] = Found(stage.key, self._number(stage.range_after()))
        return self.known[number, at]

    def _alone(self, number: int, formats: tuple[int, ...], row: IntArray) -> Stage:
        if (number, formats) not in self.alone:
            self.alone[number, formats] = alone(self.program(row))[number]
        return self.alone[number, formats]

    def _number(self, ends: tuple[Codes, Codes]) -> int:
        """Which of the ranges it is."""
        key = b"".join(end.tobytes() for end in ends)
        if key not in self._numbers:
            self._numbers[key] = len(self.ranges)
            self.ranges.append(ends)
        return self._numbers[key]

    def fill(self) -> None:
        """Estimate the stages that wait; they go on waiting where that fails."""
        self._take_from_folder()
        new = {key: stage for key, stage in self.waiting.items() if key not in self.of_content}
        if new:
            for key, made in zip(new, self._estimated(list(new.values())), strict=True):
                if isinstance(made, NoLogic):
                    self.none[key] = made
                else:
                    self.of_content[key] = made
            if self.folder is not None:
                keep(self.folder, {**read_kept(self.folder), **self.of_content})
        self.waiting.clear()

    def keep_in(self, folder: Path) -> None:
        """From now on, keep estimates in a folder, and use those that it keeps."""
        self.folder, self.unproved = folder, read_kept(folder)
        if self.of_content and self.of_content.keys() - self.unproved.keys():
            keep(folder, {**self.unproved, **self.of_content})

    def _take_from_folder(self) -> None:
        """What the folder keeps of those; nothing of it where some that are looked at are wrong."""
        found = {key: stage for key, stage in self.waiting.items() if key in self.unproved}
        if not found:
            return
        tried = np.random.default_rng().permutation(sorted(found))[:CHECKED].tolist()  # none can be foreseen
        for key, made in zip(tried, self._estimated([found[key] for key in tried]), strict=True):
            if made != self.unproved[key]:
                logger.warning("%s: holds wrong estimates, all are made again", self.folder)
                self.unproved = {}
                if isinstance(made, Estimate):
                    self.of_content[key] = made
                if self.folder is not None:
                    keep(self.folder, self.of_content)
                return
        self.of_content |= {key: self.unproved[key] for key in found}

    def _estimated(self, stages: Sequence[Stage]) -> list[Estimate | NoLogic]:
        self.made += len(stages)
        return estimates(stages)

    def columns(self) -> list[list[int]]:
        """The slots that each stage's logic follows from."""
        layers = [layer.name for layer in self.graph.layers]
        weighted = [layer.name for layer in self.graph.layers if layer.stored.get("weight")]
        begins = [layers.index(name) for name in weighted]
        found = []
        for number, begin in enumerate(begins):
            end = begins[number + 1] if number + 1 < len(begins) else len(layers)
            inside = set(layers[begin:end])
            following = layers[end] if end < len(layers) else ""
            read = set(layers[:begin]) if number == 0 else set()  # what reads the input first
            found.append(
                [
                    column
                    for column, slot in enumerate(self.slots)
                    if slot.layer in inside
                    or (slot.layer == following and slot.tensor in ("data_in", "weight"))
                    or (slot.layer in read and slot.tensor == "data_in")
                ]
            )
        return found

    def program(self, row: IntArray) -> Program:
        """The network in the formats of a row [S]; UserError where there is no such program."""
        return program_of(self.graph.quantized(schemes(self.slots, row)), self.example[0])


def _check(figure: str, stages: Stages) -> None:
    """Raises UserError where some of the formats can't be written, or paths are added."""
    first = np.zeros(len(stages.slots), dtype=np.int64)
    for column, slot in enumerate(stages.slots):
        for choice in range(len(slot.formats)):
            row = first.copy()
            row[column] = choice
            graph = stages.graph.quantized(schemes(stages.slots, row))
            program, reasons = read_program(graph)
            if program is None:
                raise UserError(f"{figure}: this network is no logic: {reasons[0]}")
            _check_inputs(figure, graph)
            if any(isinstance(step, Add) for step in program.steps):
                raise UserError(
                    f"{figure}: the network adds two paths, so its stages' logic is not one after the other; "
                    "take ebops as the cost, and export a trial as verilog for its LUTs"
                )


def _check_inputs(figure: str, graph: Graph) -> None:
    """Raises UserError where a layer reads sums as they are: its logic follows from the layers before too."""
    for layer in graph.layers:
        if layer.stored.get("weight") and graph.schemes[layer.name].data_in is None:
            raise UserError(
                f"{figure}: {layer.name} reads its input without a format; give its data_in fixed<...> ones"
            )
