"""What the engine knows before the first candidate: a plan, calibrated formats, costs, shares of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from widthwise.core.errors import UserError
from widthwise.data.blocks import DataBlock, first_of
from widthwise.data.facts import DataFacts, facts_of, part
from widthwise.data.modules import Data
from widthwise.evaluators.engine.calibrating import Calibration, block_samples
from widthwise.evaluators.engine.costs import Costs
from widthwise.evaluators.engine.in_place import CannotShareError
from widthwise.evaluators.engine.memo import Memo
from widthwise.evaluators.engine.memory import (
    MemoryShares,
    default_budget,
    keep_freed_memory,
    rerun_bytes,
    shares,
)
from widthwise.evaluators.engine.one_by_one import PassPerCandidate
from widthwise.evaluators.engine.plan import Plan
from widthwise.evaluators.engine.planner import make_plan
from widthwise.evaluators.engine.rerun import Rerun
from widthwise.evaluators.judged import JudgedData
from widthwise.evaluators.judging import Judging
from widthwise.metrics.quality.fits import Fit, fit_of
from widthwise.metrics.quality.outputs import Output
from widthwise.metrics.quality.task import Tally
from widthwise.network.calling import as_example
from widthwise.network.capture import Example
from widthwise.network.graph import HOW, Graph
from widthwise.network.passes.metadata import propagate, uncounted
from widthwise.network.passes.unquantised import parameters_in_float, unquantised
from widthwise.spaces.quantisation import QuantisationSpace
from widthwise.spaces.slots import Slot, fixed_slots

MOST_ROWS = 2**17  # candidates


@dataclass(frozen=True, eq=False)
class Sharing:
    """A plan by which candidates share values, and the bytes that its parts may take."""

    plan: Plan
    shares: MemoryShares


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network ready to be judged with any of its formats.

    slots: calibrated, what follows the data is fixed. sharing: None where each candidate takes a pass of its
        own; `alone_because` says why. single: what evaluates one candidate.
    memory: bytes that evaluating may take; size: samples of a block of which no value takes too much of it.
    fitting: how the network is given data, and what of it is judged.
    tally: of no candidates, from which those of batches are made.
    """

    graph: Graph
    slots: tuple[Slot, ...]
    sharing: Sharing | None
    alone_because: str
    single: Memo | PassPerCandidate | Rerun
    costs: Costs
    memory: int
    size: int
    fitting: Fit
    tally: Tally
    uncounted: tuple[str, ...]  # types of calls whose arithmetic is not known
    in_float: str  # parameters that can have no format
    written: tuple[Slot, ...]  # the slots before they were calibrated
    calibration: Calibration

    @property
    def about(self) -> DataFacts:
        """What is known of the data."""
        return self.fitting.about

    @property
    def how(self) -> str:
        """How candidates are evaluated, in words."""
        if self.sharing is not None:
            return "candidates together: values that candidates share are computed once"
        found = f"candidates one pass per candidate with cached weights: {self.alone_because}"
        return f"{found}; calls alike are answered from memory" if isinstance(self.single, Rerun) else found

    @property
    def rows_at_once(self) -> int:
        """Candidates whose figures, formats and versions fit an eighth of the memory."""
        steps = len(self.sharing.plan.steps) if self.sharing is not None else 0
        each = self.tally.row_bytes + 8 * (4 * len(self.slots) + 2 * steps + 8)
        return int(min(max(self.memory // 8 // each, 1), MOST_ROWS))

    @property
    def widest(self) -> float:
        """Bytes of the widest value of one version for one sample; infinite where nobody knows."""
        if self.sharing is None:
            return float("inf")
        return self.sharing.plan.widest

    def judged(self, loader: Callable[[], Any], judging: Judging) -> JudgedData:
        """The data to judge on, in blocks of a size that suits the plan."""
        return JudgedData(
            loader,
            size=self.sharing.shares.block_samples if self.sharing is not None else self.size,
            most=judging.samples,
            room=self.memory // 8,
            check=self.check,
            reader=self.fitting.reader,
        )

    def calibrated(self, graph: Graph) -> tuple[Slot, ...]:
        """The slots as another network's weights, and what it computes in float, fix them."""
        return self.calibration.slots(graph, self.written)

    def check(self, block: DataBlock) -> None:
        """Raises UserError for targets that the network can't be judged by, and other inputs than planned."""
        fitting = self.fitting
        if self.sharing is not None and list(block.inputs) != list(fitting.block.inputs):
            raise UserError(
                f"{fitting.about.title}: some batches hold {', '.join(block.inputs)}, others "
                f"{', '.join(fitting.block.inputs)}; give the network the same inputs in all"
            )
        fitting.output.task.check(block.targets, fitting.shape, fitting.about)


def prepare(graph: Graph, space: QuantisationSpace | None, data: Data, judging: Judging) -> Prepared:
    """Plan a copy of the network, fix its formats by weights and training samples, and count its costs.

    Raises UserError for data that does not fit the network, for unknown metrics and for too little memory.
    """
    task = judging.task
    memory = default_budget(judging.device) if judging.memory is None else judging.memory
    loader = partial(_calibration_loader, data, judging)
    fitting = fit_of(graph.network, loader(), task, facts_of(data), judging.output)
    written = fixed_slots(graph) if space is None else space.slots
    own = _own(graph, fitting.example, written, judging.device)
    fitting = fitting.on(judging.device)
    example = fitting.block if fitting.reader.whole_because else fitting.block.part(0, 1)
    metas = propagate(own, as_example(fitting.reader.takes, example.inputs), samples=len(example))
    size = block_samples(metas, len(example), memory)
    calibration = Calibration(loader, fitting.reader, size, memory // 8)
    slots = calibration.slots(own, written)
    plan, alone_because = _planned(own, slots, calibration, fitting.output)
    sharing = None
    if plan is not None:
        keep_freed_memory()
        sharing = Sharing(plan, shares(plan, memory, judging.device))
        single: Memo | PassPerCandidate | Rerun = Memo(plan, sharing.shares.memo)
    elif own.capture == "running":
        single = Rerun(own, slots, fitting.output, rerun_bytes(memory, judging.device))
    else:
        single = PassPerCandidate(own, slots, fitting.output)
    nodes = [meta.cost for meta in metas.values() if meta.cost is not None]
    untied = space is not None and space.untie
    inputs = tuple(x for x in example.inputs.values() if isinstance(x, torch.Tensor))
    costs = Costs(own, slots, nodes, judging.compare_to, untied=untied, written=written, example=inputs)
    costs.check(judging.cost)
    return Prepared(
        graph=own,
        slots=slots,
        sharing=sharing,
        alone_because=alone_because,
        single=single,
        costs=costs,
        memory=memory,
        size=size,
        fitting=fitting,
        tally=judging.tally(data, fitting.about, fitting.shape, most=memory // 4),
        uncounted=uncounted(own.fx_graph, metas),
        in_float=parameters_in_float(unquantised(own, metas)),
        written=tuple(written),
        calibration=calibration,
    )


def _own(graph: Graph, example: Example, slots: Sequence[Slot], device: str) -> Graph:
    """A copy on the device, in eval mode, that does what the network does on the example.

    Raises UserError where that lacks layers with slots, and for one that can be neither copied nor moved.
    """
    proved = graph.proved(example)
    names = {layer.name for layer in proved.layers} if proved is not graph else set()
    missing = [slot.layer for slot in slots if slot.layer not in names] if names else []
    if missing and graph.capture == proved.capture == "running":
        raise UserError(
            f"{missing[0]}: the first samples of this data don't come to it, as the network's path follows "
            f"values; leave it out of the space (built on {HOW}, with these samples, it is), or let them "
            "come to it"
        )
    if missing:
        raise UserError(
            f"{missing[0]}: is no layer of the network as it runs on this data ({proved.capture_error}); "
            f"build the space on {HOW}"
        )
    if names:
        _check_no_more(graph, proved, slots)
    own = proved.copy_or_view()
    if own.capture == "running" and own.network is graph.network:
        if device != "cpu":
            raise UserError(f"device {device}: the network can't be copied there; build it there")
        return own
    own.model.eval()
    if any(tensor.device != torch.device(device) for tensor in own.model.state_dict().values()):
        own.model.to(device)
    return own


def _check_no_more(graph: Graph, proved: Graph, slots: Sequence[Slot]) -> None:
    """Raises UserError for layers of the types that have slots, but which the space could know nothing of."""
    before = {layer.name: layer for layer in graph.layers}
    types = {before[slot.layer].type for slot in slots if slot.layer in before}
    more = [x.name for x in proved.layers if x.name not in before and x.tensors and x.type in types]
    if more:
        raise UserError(
            f"{more[0]}: is a layer of the network as it runs on this data, but not as it was captured; "
            f"build the space on {HOW}"
        )


def _planned(
    graph: Graph, slots: Sequence[Slot], calibration: Calibration, output: Output
) -> tuple[Plan | None, str]:
    """How candidates share values; or None and why they can't."""
    if graph.capture != "fx":
        return None, str(graph.capture_error)
    example = first_of(calibration.blocks())[0]
    try:
        return make_plan(graph, slots, example, output), ""
    except CannotShareError as reason:
        return None, str(reason)


def _calibration_loader(data: Data, judging: Judging) -> Any:
    try:
        return part(data, "train")
    except UserError:  # no training split: a network trained elsewhere
        return judging.loader(data)
